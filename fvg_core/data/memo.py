"""What is known about files that have not changed, so that large ones are not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from ..errors import DataError
from ..files import write_whole
from .probe import Facts, frame_files, probe


class Memo:
    """Facts by path, size and time of change; kept in a file when one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.known: dict[str, tuple] = {}
        self.new: dict[str, tuple] = {}
        if path is not None:
            # It is only a shortcut: without it everything is read.
            with contextlib.suppress(OSError, ValueError, TypeError):
                self.known = dict(json.loads(path.read_text(encoding="utf-8")))

    def facts(self, clip: Path) -> Facts:
        """`probe`, or what it said before. Raises DataError as it does."""
        mark, name = _mark(clip), clip.as_posix()
        with contextlib.suppress(KeyError, TypeError, ValueError):
            before, fields = self.known[name]
            if before == mark:
                return _facts(fields)
        facts = probe(clip)
        duration = None if facts.duration is None else str(facts.duration)
        self.new[name] = (mark, {**asdict(facts), "duration": duration})
        return facts

    def save(self) -> None:
        """Keep what was found out, also by a scan that was interrupted."""
        if self.path is not None and self.new:
            write_whole(self.path, json.dumps({**self.known, **self.new}).encode())


def _mark(clip: Path) -> str:
    files = frame_files(clip) if clip.is_dir() else [clip]
    try:
        stats = [(f.name, (stat := f.stat()).st_size, stat.st_mtime_ns) for f in files]
    except OSError as error:
        raise DataError(f"unreadable: {error}") from error
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()


def _facts(fields: dict) -> Facts:
    duration = fields["duration"]
    return Facts(**{**fields, "duration": None if duration is None else Fraction(duration)})
