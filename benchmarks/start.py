"""What the pack adds to the host's start, and which modules it adds it with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.figures import summarise
from benchmarks.start_probe import BEGIN, END
from dev.host import LINK_NAME, PACK, Install
from dev.server import ComfyServer
from fvg_core.errors import HostError

PROBE = Path(__file__).with_name("start_probe.py")
SHOWN_MODULES = 12
UNUSUAL = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)$")


def measure(install: Install, pairs: int = 4) -> dict[str, Any]:
    """Starts with and without the pack, in turns, and one that names the modules."""
    compile_pack(install)
    with_pack, without, records, bare = [], [], [], []
    order = [True, False]
    with tqdm(total=2 * pairs + 1, desc="  starts", unit="start", disable=None) as bar:
        for i in range(-1, pairs):  # the first warms the disk's cache and is not counted
            for wanted in [True] if i < 0 else order if i % 2 else order[::-1]:
                seconds, record, _ = start(install, pack=wanted)
                bar.update()
                if i >= 0 and wanted:
                    with_pack.append(seconds)
                    records.append(record)
                elif i >= 0:
                    without.append(seconds)
                    bare.append(record)
    _, _, log = start(install, pack=True, options=("-X", "importtime"))
    differences = [a - b for a, b in zip(with_pack, without, strict=True)]
    loads = [record["load"] for record in records]
    return {
        "load_s": asdict(summarise([load["cpu"] - load["collections"] for load in loads])),
        "load_collections_s": asdict(summarise([load["collections"] for load in loads])),
        "collections_with_s": asdict(summarise([r["collections"] for r in records])),
        "collections_without_s": asdict(summarise([r["collections"] for r in bare])),
        "start_with_s": asdict(summarise(with_pack)),
        "start_without_s": asdict(summarise(without)),
        "difference_s": asdict(summarise(differences)),
        "modules": slowest(parse_imports(log.splitlines()), SHOWN_MODULES),
    }


def compile_pack(install: Install) -> None:
    """Write the pack's bytecode, as the first start on a user's machine does."""
    command = [str(install.python), "-m", "compileall", "-q", "__init__.py", "nodes", "fvg_core"]
    subprocess.run(command, cwd=PACK, check=True)


def start(
    install: Install, *, pack: bool, options: Sequence[str] = ()
) -> tuple[float, dict[str, Any], str]:
    """Start the host once, in folders of its own: seconds, what the probe wrote, stderr."""
    with tempfile.TemporaryDirectory(prefix="fvg-bench-") as base:
        server = ComfyServer(install, Path(base), only_pack=pack)
        for folder in (server.user, server.output, server.input):
            folder.mkdir()
        python, _, *arguments = server.command()
        if not pack:
            arguments.append("--disable-all-custom-nodes")
        env = {k: v for k, v in os.environ.items() if k not in UNUSUAL}
        if not install.managed:
            env["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing of ours stays in a user's install
        command = [python, *options, str(PROBE), str(install.root), *arguments]
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=base, env=env, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise HostError(f"ComfyUI did not start (exit {done.returncode}).\n{done.stderr[-2000:]}")
    record = json.loads(done.stdout.splitlines()[-1])
    if pack and not record["load"]:
        raise HostError(f"ComfyUI started without the pack; is it {LINK_NAME} in custom_nodes?")
    return seconds, record, done.stderr


def parse_imports(log: Iterable[str]) -> dict[str, float]:
    """Own milliseconds of every module imported between the probe's marks."""
    own: dict[str, float] = {}
    inside = False
    for line in log:
        if line in (BEGIN, END):
            inside = line == BEGIN
        elif inside and (match := IMPORT_LINE.match(line)):
            # The host names a pack's modules by the pack's whole path.
            name = match.group(4).split(f"{LINK_NAME}.")[-1]
            own[name] = own.get(name, 0) + int(match.group(1)) / 1000
    return own


def slowest(own: dict[str, float], count: int) -> dict[str, float]:
    """The `count` modules that take longest, longest first, then all others as one."""
    ordered = sorted(own.items(), key=lambda item: -item[1])
    shown = {name: round(ms, 2) for name, ms in ordered[:count]}
    if len(ordered) > count:
        shown[f"{len(ordered) - count} others"] = round(sum(ms for _, ms in ordered[count:]), 2)
    return shown
