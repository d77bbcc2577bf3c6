"""How a batch goes, on a terminal or in a log."""

from __future__ import annotations

import sys
from typing import Any

from .template import Work


class Progress:
    """A bar with what is done, what failed, the rate and the time left."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.failed, self.skipped = total, what, 0, 0

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        self.bar: Any = tqdm(
            total=self.total,
            desc=self.what,
            unit="run",
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def _skip(self, skipped: int) -> None:
        more, self.skipped = skipped - self.skipped, skipped
        self.bar.initial += more  # not part of the rate
        self.bar.n += more

    def finished(self, work: Work, skipped: int) -> None:
        self._skip(skipped)
        self.bar.update()

    def set_aside(self, work: Work, why: str) -> None:
        self.failed += 1
        self.bar.set_postfix(failed=self.failed, refresh=False)
        self.bar.update()
        self.say(f"set aside: {work.entry.prompt[:60]!r}: {why}")

    def say(self, text: str) -> None:
        self.bar.write(text, file=sys.stderr)

    def step(self, server: str, text: str) -> None:
        self.bar.set_postfix(failed=self.failed, step=text, refresh=False)

    def done(self, skipped: int) -> None:
        self._skip(skipped)
        self.bar.total = self.bar.n
        self.bar.refresh()
