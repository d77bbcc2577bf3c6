"""How long `make demo` takes: warm, and cold from a fresh clone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from dev.host import PACK
from fvg_core.errors import HostError


def measure_warm() -> dict[str, Any]:
    """The second of two runs of an installed checkout."""
    runs = [_demo(PACK, dict(os.environ)) for _ in range(2)]
    return {"first": runs[0], "second": runs[1]}


def measure_cold() -> dict[str, Any]:
    """Clone the last commit, install everything without pip's cache, run. Takes minutes."""
    environ = {k: v for k, v in os.environ.items() if k not in ("COMFYUI", "COMFYUI_PYTHON")}
    environ["PIP_NO_CACHE_DIR"] = "1"
    scratch = PACK / ".cache"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cold-", dir=scratch) as folder:
        clone = Path(folder) / "comfyui-fvg"
        started = time.perf_counter()
        _run(["git", "clone", "--quiet", str(PACK), str(clone)], scratch, environ)
        first = _demo(clone, environ)
        seconds = time.perf_counter() - started
        return {"whole_s": seconds, "first": first, "second": _demo(clone, environ)}


def _demo(checkout: Path, environ: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fvg-bench-") as out:
        started = time.perf_counter()
        _run(["make", "demo", f"OUT={out}"], checkout, environ)
        seconds = time.perf_counter() - started
        recipe = json.loads((Path(out) / "recipe.json").read_text(encoding="utf-8"))
    return {"whole_s": seconds, **{f"{k}_s": v for k, v in recipe["seconds"].items()}}


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    # MAKEFLAGS of an outer make would name its job server.
    clean = {k: v for k, v in environ.items() if not k.startswith("MAKE")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        _stop(process)
        raise
    if process.returncode != 0:
        raise HostError(f"{' '.join(command[:2])} failed:\n{output[-2000:]}")


def _stop(process: subprocess.Popen[str]) -> None:
    """End a command with all that it started; the demo stops its server when asked."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=15)  # returns when nobody holds its output any more
            return
