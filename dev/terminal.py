"""What the demo shows while the server works: one bar per node."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from fvg_core.bench.client import Event, Json


class Progress:
    """Turns a run's events into progress bars with the nodes' titles."""

    def __init__(self, prompt: dict[str, Json]) -> None:
        self.titles = {
            number: node.get("_meta", {}).get("title", node["class_type"])
            for number, node in prompt.items()
        }
        self.bar: tqdm[None] | None = None
        self.node: str | None = None
        self.started = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.kind == "executing" and event.node != self.node:
            self._leave()
            self.node, self.started = event.node, time.monotonic()
        elif event.kind == "progress" and event.maximum > 1:
            if self.bar is None or event.value < self.bar.n or event.maximum != self.bar.total:
                self._close()
                self.bar = self._open(event)
            self.bar.update(event.value - self.bar.n)

    def _open(self, event: Event) -> tqdm[None]:
        title = self.titles.get(event.node or "", "")
        shape = "  {desc:<32} {bar:24} {n_fmt}/{total_fmt}  {elapsed}"
        live = sys.stderr.isatty()  # in a log, only the finished bar
        return tqdm(
            total=event.maximum,
            desc=title,
            bar_format=shape,
            file=sys.stderr,
            ascii=" #",
            mininterval=0.1 if live else 1e9,
            delay=0 if live else 1e-9,
        )

    def _leave(self) -> None:
        """Say how long a node without a bar took, if it was long enough to wonder."""
        seconds = time.monotonic() - self.started
        if self.bar is None and self.node and seconds > 1:
            print(f"  {self.titles.get(self.node, self.node):<32} {seconds:.1f} s", file=sys.stderr)
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def close(self) -> None:
        self._leave()
        self.node = None
