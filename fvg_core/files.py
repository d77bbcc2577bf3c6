"""Files that appear whole or not at all, their names, and what tells weights from others."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from .errors import DataError

_ENDS = 1 << 20  # bytes at either end of a weights file that tell it from another


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it, whatever happens meanwhile.

    Raises DataError if it cannot be written, and leaves nothing then.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise DataError(
            f"could not write {path.name} ({len(content)} bytes) into {path.parent}: "
            f"{error.strerror or error}. {_free(path.parent)}Free some space there and run it "
            "again; what was stored before is kept."
        ) from error


def slug(prompt: str) -> str:
    """A prompt as part of a file's name: its letters and digits, 48 characters at most."""
    return "-".join(re.findall(r"[a-z0-9]+", prompt.lower()))[:48].strip("-") or "prompt"


def weights_key(paths: Iterable[Path]) -> str:
    """Names weights by their files' names, sizes and ends, without reading them whole."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(-min(_ENDS, size), os.SEEK_END)
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _free(folder: Path) -> str:
    try:
        return f"The disk has {shutil.disk_usage(folder).free / 1e9:.1f} GB left. "
    except OSError:
        return ""
