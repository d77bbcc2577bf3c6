"""How a batch goes, on a terminal or in a log."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from pathlib import Path
from typing import Any

from .store import PART
from .template import Work

PREVIEW_PAUSE_S = 1.0


class Progress:
    """A bar with what is done, what failed, the rate and the time left."""

    def __init__(self, total: int, what: str, previews: Path | None = None) -> None:
        self.total, self.what, self.failed, self.skipped = total, what, 0, 0
        self.previews = previews
        self._shown: dict[str, float] = {}  # by server, when its preview was last written

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

    def preview(self, server: str, picture: bytes) -> None:
        """Keep the latest in the folder `previews`, if there is one, as preview-<server>.jpg."""
        now = time.monotonic()
        if self.previews is None or now - self._shown.get(server, 0) < PREVIEW_PAUSE_S:
            return
        self._shown[server] = now
        name = re.sub(r"[^a-z0-9]+", "-", server.split("://")[-1].lower()).strip("-")
        ending = "png" if picture.startswith(b"\x89PNG") else "jpg"
        path = self.previews / f"preview-{name}.{ending}"
        with contextlib.suppress(OSError):  # a full disk is the results' business
            part = path.with_name(path.name + PART)
            part.write_bytes(picture)
            part.replace(path)

    def done(self, skipped: int) -> None:
        self._skip(skipped)
        self.bar.total = self.bar.n
        self.bar.refresh()
