"""The folder of a batch: results that appear whole or not at all, and the manifest that counts
them.

batch.json       the batch's own id, the mark of its jobs in servers' queues
manifest.jsonl   one line for each finished work, with its whole recipe
failed.jsonl     what the last run set aside, with the server's own error
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import BatchError
from .results import Json
from .template import Work

LONGEST_SLUG = 60  # characters
PART = ".fvg-part"


@dataclass(frozen=True)
class Kept:
    """A file of the folder, as the manifest has it."""

    name: str
    sha256: str
    bytes: int


def file_name(work: Work, ending: str, number: int = 0) -> str:
    """A name that any system takes: some words of the prompt, the seed, the work's key."""
    plain = unicodedata.normalize("NFKD", work.entry.prompt[:1000]).encode("ascii", "ignore")
    words = re.findall(r"[a-z0-9]+", plain.decode().lower())
    slug = "-".join(words)[:LONGEST_SLUG].strip("-") or "prompt"
    seed = "" if work.seed is None else f"-s{work.seed}"
    count = f"-{number}" if number else ""
    return f"{slug}{seed}-{work.key[:10]}{count}{safe_ending(ending)}"


def safe_ending(filename: str) -> str:
    """The ending of a server's file name, or .bin for one that is not plain letters."""
    found = re.search(r"\.([A-Za-z0-9]{1,8})$", filename)
    return f".{found[1].lower()}" if found else ".bin"


class Store:
    """The folder `root`, held by one process at a time; a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "manifest.jsonl"
        self.failed = root / "failed.jsonl"
        self.done: dict[str, tuple[Kept, ...]] = {}
        self.id = ""
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Store:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.root / ".lock")
            self.id = self._own_id()
            for part in self.root.glob(f"*{PART}"):  # folders below may be batches that run
                part.unlink()
            self._mend()
            for line in finished_lines(self.manifest):
                files = tuple(Kept(**file) for file in line["files"])
                if self._are_there(files):
                    self.done[line["key"]] = files
        except OSError as error:
            self._unlock()
            raise BatchError(f"{self.root} cannot be used: {error.strerror}.") from error
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _own_id(self) -> str:
        path = self.root / "batch.json"
        if not path.exists():
            self._write(path, json.dumps({"id": str(uuid.uuid4())}) + "\n")
        return read_id(self.root)

    def _write(self, path: Path, text: str) -> None:
        part = path.with_name(path.name + PART)
        part.write_text(text, encoding="utf-8")
        part.replace(path)

    def _mend(self) -> None:
        """Take away a last line that was cut off in writing."""
        if self.manifest.exists():
            content = self.manifest.stat().st_size
            with self.manifest.open("rb+") as lines:
                good = sum(len(line) for line in lines if line.endswith(b"\n"))
                if good != content:
                    lines.truncate(good)

    def _are_there(self, files: tuple[Kept, ...]) -> bool:
        for file in files:
            path = self.root / file.name
            if not path.is_file() or path.stat().st_size != file.bytes:
                return False
        return True

    def start_failures(self) -> None:
        """Forget what earlier runs set aside: it is tried again."""
        self.failed.unlink(missing_ok=True)

    def set_aside(self, line: Json) -> None:
        """Note a work that failed for good."""
        with self._writing():
            _append(self.failed, line)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BatchError(
                f"{self.root} cannot be written: {error.strerror}. Make room; the same command "
                "goes on, and nothing that is finished is lost."
            ) from error

    def _new_part(self) -> Path:
        """A file that is not whole yet; in `root`, where the next run finds what a kill leaves."""
        return self.root / f"{uuid.uuid4().hex}{PART}"

    async def download(self, chunks: AsyncIterator[bytes], name: str) -> tuple[Path, Kept]:
        """Write a file into the folder; (where it lies, what it will be)."""
        part = self._new_part()
        digest, size = hashlib.sha256(), 0
        try:
            with self._writing(), part.open("xb") as out:
                async for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part, Kept(name, digest.hexdigest(), size)

    def keep(self, key: str, parts: list[tuple[Path, Kept]], line: Json) -> None:
        """Put downloaded files into their places and count the work as done."""
        files = tuple(file for _, file in parts)
        with self._writing():
            for part, file in parts:
                path = self.root / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                part.replace(path)
            _append(self.manifest, {"key": key, **line, "files": [vars(file) for file in files]})
        self.done[key] = files

    def copy_to(self, key: str, targets: tuple[str, ...]) -> None:
        """Further places of a finished work's first file, where they lack it."""
        source = self.done[key][0]
        for target in targets:
            path = self.root / target
            if target == source.name or (path.exists() and path.stat().st_size == source.bytes):
                continue
            with self._writing():
                path.parent.mkdir(parents=True, exist_ok=True)
                part = self._new_part()
                shutil.copyfile(self.root / source.name, part)
                part.replace(path)


def finished_lines(manifest: Path) -> Iterator[Json]:
    """The lines of a manifest that another process may be writing."""
    if not manifest.exists():
        return
    with manifest.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                said = json.loads(line)
                [Kept(**file) for file in said["files"]]
                yield {"prompt": "", "seed": None, "variation": 0, **said, "key": said["key"]}
            except (ValueError, KeyError, TypeError) as error:
                raise BatchError(
                    f"{manifest}, line {number} is not a line of a manifest. Remove the line; its "
                    "work will be done again."
                ) from error


def read_id(root: Path) -> str:
    """The id of the batch in `root`."""
    path = root / "batch.json"
    try:
        return str(uuid.UUID(json.loads(path.read_text(encoding="utf-8"))["id"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BatchError(
            f"{root} is not the folder of a batch (no valid batch.json). Name the folder that "
            "was given as --out."
        ) from error


def _append(path: Path, line: Json) -> None:
    # Half a character, which a server's error may quote, stays as JSON's own escape.
    with path.open("a", encoding="utf-8", errors="backslashreplace") as out:
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _locked(path: Path) -> IO[bytes]:
    """The open lock file; it is free again when its holder ends, however that happens."""
    held = path.open("ab")
    try:
        if os.name == "nt":
            import msvcrt

            held.seek(0)
            msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise BatchError(
            f"Another batch is writing into {path.parent}. Wait for it, or choose another --out."
        ) from error
    return held
