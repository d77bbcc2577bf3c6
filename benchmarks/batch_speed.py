"""What a batch costs besides the models: in phases or not, on one server or two, list by list."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.batch_check import manifest
from benchmarks.batch_runs import Client, Kills, captions, run, servers
from benchmarks.figures import BRACKETS, Figure, ratios, summarise
from dev.host import PACK, Install
from fvg_core.backbones import MODELS
from fvg_core.backbones.table import counted
from fvg_core.errors import HostError

Json = dict[str, Any]
# name -> (number of servers, arguments)
WAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    "interleaved": (1, ("--interleave",)),
    "phased": (1, ()),
    "two servers": (2, ("--interleave",)),
}
LINES = 10_000
# Billions of parameters as published (model cards of Qwen2.5-7B-Instruct, Qwen-Image, its text
# encoder Qwen2.5-VL-7B and UMT5-XXL's encoder) and the bytes of each in the files of the README.
OTHERS = {"language model": 7.6 * 2, "image model": 20.0 + 8.3, "text encoder": 5.7}
READING = 2.0  # GB/s of a fast disk
PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def speed(install: Install, base: Path, count: int, repeats: int) -> Json:
    """Each way `repeats` times in turns, with `count` new prompts each time."""
    runs: dict[str, list[Json]] = {way: [] for way in WAYS}
    with servers(install, base, 2) as hosts:
        urls = [host.url for host in hosts]
        _measure(base / "warm", urls, "two servers", captions(4, seed=1), hosts)
        for i in range(repeats):
            for n, way in enumerate(WAYS):
                prompts = captions(count, seed=100 + len(WAYS) * i + n)
                runs[way].append(_measure(base / f"{way}-{i}", urls, way, prompts, hosts))
        lines = long_list(base / "lines", urls[0], captions(50, seed=2))
    walls = {way: [one["seconds"] for one in each] for way, each in runs.items()}
    overheads = [one["wall_each"] - one["server_each"] for one in runs["interleaved"]]
    return {
        "prompts": count,
        "runs": runs,
        "phased_to_interleaved": vars(ratios(walls["phased"], walls["interleaved"])),
        "two_to_one": vars(ratios(walls["two servers"], walls["interleaved"])),
        "start_s": vars(summarise([one["start"] for one in runs["interleaved"]])),
        "overhead_s": vars(summarise(overheads)),
        "server_s": vars(summarise([one["server_each"] for one in runs["interleaved"]])),
        "client_cpu_s": vars(summarise([one["client_cpu"] for one in runs["interleaved"]])),
        "lines": lines,
        "loads": loads(),
    }


def _measure(base: Path, urls: Sequence[str], way: str, prompts: list[str], hosts: Any) -> Json:
    """One batch, and the same command again, which finds everything done."""
    many, arguments = WAYS[way]
    client = _client(base, urls[:many], prompts, arguments)
    nobody = Kills([])
    before = os.times().children_user + os.times().children_system
    seconds = run(client, hosts, nobody)
    cpu = os.times().children_user + os.times().children_system - before
    start = run(client, hosts, nobody)
    busy = [line["seconds"] for line in manifest(client.out)]
    return {
        "seconds": seconds,
        "start": start,
        "wall_each": (seconds - start) / len(prompts),
        "server_each": sum(busy) / len(busy),
        "client_cpu": cpu / len(prompts),
    }


def _client(
    base: Path, urls: Sequence[str], prompts: Sequence[str], arguments: Sequence[str]
) -> Client:
    base.mkdir(parents=True)
    listed = base / "prompts.txt"
    listed.write_text("\n".join(prompts), encoding="utf-8")
    return Client(base / "out", urls, [str(listed), *arguments], base / "client.log")


def long_list(base: Path, url: str, prompts: list[str]) -> Json:
    """Time and memory of a list of 10,000 lines whose works are done, and of a short one."""
    repeated = [prompts[i % len(prompts)] for i in range(LINES)]
    client = _client(base, [url], prompts, ["--interleave"])
    run(client, (), Kills([], None))  # type: ignore[arg-type]
    short = _peak(client)
    Path(client.arguments[0]).write_text("\n".join(repeated), encoding="utf-8")
    return {"lines": LINES, "short": short, "long": _peak(client)}


def _peak(client: Client) -> Json:
    """Seconds and the most memory (MB) of the command, run once more.

    A small process starts it: a fork counts as large as what it was forked from.
    """
    started = time.monotonic()
    command = [sys.executable, "-c", PEAK, *client.command()]
    done = subprocess.run(command, cwd=PACK, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HostError(f"The batch failed:\n{done.stderr[-2000:]}")
    peak = int(done.stdout.split()[-1])
    return {"seconds": time.monotonic() - started, "peak_mb": peak / 1024}


def loads() -> list[Json]:
    """GB read from disk for each prompt when models take turns in the memory, and once in phases.

    Arithmetic, not a measurement; of the models that UMT5-XXL reads for.
    """
    rows = []
    for spec in (spec for spec in MODELS if any("umt5" in file.name for file in spec.files)):
        experts = 1 if spec.expert_boundary is None else 2
        video = experts * counted(spec).fp8 / 1e9
        rows.append({"model": spec.name, "video": video, "all": sum(OTHERS.values()) + video})
    return rows


def rows(found: Json) -> Iterator[str]:
    """What a person reads of it."""

    def figure(name: str, digits: int = 2) -> str:
        return Figure(**found[name]).text(digits)

    short, long = found["lines"]["short"], found["lines"]["long"]
    yield from (
        f"Batches of {found['prompts']} prompts, in turns; medians, {BRACKETS}.",
        "",
        "| | |",
        "|---|---|",
        f"| seconds, in phases / interleaved, one server | {figure('phased_to_interleaved')} |",
        f"| seconds, two servers / one, interleaved | {figure('two_to_one')} |",
        f"| start of the command, the list checked, nothing to do: s | {figure('start_s')} |",
        f"| a prompt on the server: s | {figure('server_s', 3)} |",
        f"| a prompt besides that, as the wall clock sees it: s | {figure('overhead_s', 3)} |",
        f"| a prompt's share of the command's own CPU, its start included: s | "
        f"{figure('client_cpu_s', 3)} |",
        f"| a list of {found['lines']['lines']} lines with all works done: s, MB at most | "
        f"{long['seconds']:.1f}, {long['peak_mb']:.0f} |",
        f"| the same with 50 lines | {short['seconds']:.1f}, {short['peak_mb']:.0f} |",
        "",
        "The tiny models stay in memory, so phases have nothing to gain here, and the second run "
        "for each prompt is what they could cost. Both servers were held to the same core, so two "
        "cannot be faster than one: the ratio says what sharing a list costs. Two machines were "
        "not at hand.",
        "",
        "## What phases save with real sizes (arithmetic, not measured)",
        "",
        f"A language model of {OTHERS['language model']:.1f} GB (Qwen2.5-7B, bf16), an image model "
        f"with its text encoder of {OTHERS['image model']:.1f} GB (Qwen-Image, fp8), a video model "
        f"in fp8 and its text encoder of {OTHERS['text encoder']:.1f} GB. Where they do not fit "
        "into memory together, prompt after prompt reads all of them for each prompt, and phases "
        f"read each once. Disk: {READING:.0f} GB/s. Where all of them fit, there is no difference.",
        "",
        "| Video model | GB | GB read for 100 prompts, interleaved / phased | minutes saved |",
        "|---|---|---|---|",
    )
    for row in found["loads"]:
        saved = 99 * row["all"] / READING / 60
        yield (
            f"| {row['model']} | {row['video']:.1f} | {100 * row['all']:.0f} / {row['all']:.0f} | "
            f"{saved:.0f} |"
        )
    yield ""
