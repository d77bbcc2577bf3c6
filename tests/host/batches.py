"""The batch command in tests: run, started, killed, and what it leaves checked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "workflows" / "fvg_tiny.json"
FAST = (
    "Anchored Wan Sampler.steps=2",
    "Anchor Image Generator.steps=2",
    "Anchor Image Generator.candidates=1",
    "Upscale for Watching.scale_by=1",
)
COLORS = ("red", "green", "blue", "yellow", "purple", "white")


class Batch:
    """The command on one folder; `run` waits for it, `start` does not."""

    def __init__(self, folder: Path, *servers: str) -> None:
        folder.mkdir(exist_ok=True)
        self.out, self.list, self.servers = folder / "out", folder / "list.jsonl", servers
        self.arguments = [str(self.list), "--template", str(TEMPLATE), "--seeds", "3"]
        self.arguments.append("--interleave")

    def write(self, *rows: dict) -> None:
        self.list.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def command(self, *more: str) -> list[str]:
        words = [sys.executable, "-m", "fvg_core", "batch", *self.arguments]
        words += ["--out", str(self.out)]
        words += [part for text in FAST for part in ("--set", text)]
        words += [part for url in self.servers for part in ("--server", url)]
        return [*words, *more]

    def start(self, *more: str, **how) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command(*more), cwd=ROOT, **pipes, **how)

    def run(self, *more: str, **how) -> tuple[int, str]:
        process = self.start(*more, **how)
        said = "".join(process.communicate(timeout=240))
        return process.returncode, said

    def lines(self, name: str = "manifest.jsonl") -> list[dict]:
        path = self.out / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def videos(self) -> list[str]:
        return sorted(p.name for p in self.out.rglob("*.mp4"))

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.lines()) < count:
            assert time.monotonic() < deadline, "the batch does not get on"
            time.sleep(0.05)

    def check(self, count: int) -> None:
        """Exactly `count` videos, each in the manifest once, nothing half-written."""
        lines = self.lines()
        assert len(lines) == len({line["key"] for line in lines}) == count
        assert sorted(file["name"] for line in lines for file in line["files"]) == self.videos()
        assert not list(self.out.rglob("*.fvg-part"))


def moving(count: int, shape: str = "ball") -> list[dict]:
    text = "a {} " + shape + " moves right on a black background"
    return [{"prompt": text.format(color)} for color in COLORS[:count]]
