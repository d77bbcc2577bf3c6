"""Which clips a folder holds, with their captions; and why other files are left out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .captions import METADATA, Finder, Row, read_metadata, read_text
from .memo import Memo
from .probe import VIDEOS, Facts, frame_files, is_picture

# Videos that PyAV may read, but that are not promised to work.
_OTHER_VIDEOS = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".wmv"}
)


@dataclass(frozen=True)
class ClipFile:
    """A clip that can be used. `name`: its path below the folder, with slashes."""

    path: Path
    name: str
    caption: str
    facts: Facts


@dataclass(frozen=True)
class Rejected:
    """What is left out. `path`: below the folder, or a line of a metadata file."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """Both in the order of their paths, which is the same on every system."""

    clips: tuple[ClipFile, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class ScanProgress:
    """`done` of `total` clips were looked at; `listing` comes with the last."""

    done: int
    total: int
    listing: Listing | None = None


def scanning(folder: Path, memo: Memo | None = None) -> Iterator[ScanProgress]:
    """Every clip below a folder, one by one: reading and hashing large files takes a while.

    Raises DataError for a folder that is missing or holds none.
    memo: what an earlier scan found out about files that have not changed since.
    """
    folder = _checked(folder)
    memo = memo if memo is not None else Memo()
    walk = _walk(folder)
    captions = _captions(folder, walk)
    rejected, clips, seen = walk.rejected, [], {}
    names = sorted(walk.clips)
    for done, name in enumerate(names):
        yield ScanProgress(done, len(names))
        path = walk.clips[name]
        try:
            _check_utf8(name, "its name is not UTF-8; rename it")
            caption = _caption(path, captions.get(name))
            _check_utf8(caption, "its caption holds half a character (a lone surrogate); mend it")
            clip = ClipFile(path, name, caption, memo.facts(path))
            if clip.facts.digest in seen:
                raise DataError(f"duplicate: the same content as {seen[clip.facts.digest]}")
        except DataError as error:
            rejected.append(Rejected(name, str(error)))
            continue
        seen[clip.facts.digest] = name
        clips.append(clip)
    rejected.sort(key=lambda r: (r.path, r.reason))
    yield ScanProgress(len(names), len(names), Listing(tuple(clips), tuple(rejected)))


def stamp(folder: Path) -> str:
    """Changes when a file below the folder appears, goes or is written; reads no contents."""
    content = hashlib.sha256()
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            try:
                stat = os.stat(path)
            except OSError:  # a link to nothing, or gone since the walk began
                continue
            entry = [os.path.relpath(path, folder), stat.st_size, stat.st_mtime_ns]
            content.update(json.dumps(entry).encode())
    return content.hexdigest()


@dataclass
class _Walk:
    clips: dict[str, Path] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}. Give the folder that holds the clips and their captions."
        )
    return folder.resolve()


def _walk(folder: Path) -> _Walk:
    """Every video file and folder of frames; what looks like a clip but is none, with a reason."""
    walk = _Walk()

    def unlistable(error: OSError) -> None:
        walk.rejected.append(Rejected(_name(folder, Path(error.filename)), f"unreadable: {error}"))

    for root, folders, files in os.walk(folder, onerror=unlistable):
        here = Path(root)
        visible = [f for f in folders if not f.startswith(".")]
        folders[:] = [f for f in visible if _inside(walk, folder, here / f)]
        paths = [here / f for f in files if not f.startswith(".")]
        pictures = [p for p in paths if is_picture(p)]
        videos = [p for p in paths if p.suffix.lower() in VIDEOS]
        for path in videos:
            if _inside(walk, folder, path):
                walk.clips[_name(folder, path)] = path
        for path in paths:
            if path.suffix.lower() in _OTHER_VIDEOS:
                why = f"{path.suffix} is not read; convert it to mp4, mkv, webm, mov or gif"
                walk.rejected.append(Rejected(_name(folder, path), why))
        if pictures and (videos or here == folder):
            why = "not read: the frames of a clip go into a folder of their own"
            walk.rejected.append(Rejected(_name(folder, here), f"{len(pictures)} pictures {why}"))
        elif pictures and all(_inside(walk, folder, p) for p in frame_files(here)):
            walk.clips[_name(folder, here)] = here
    if not walk.clips and not walk.rejected:
        raise DataError(
            f"{folder} holds no clips. Put videos ({', '.join(sorted(VIDEOS))}) or folders of "
            "frames into it, each with a .txt of the same name, or with a metadata.csv."
        )
    return walk


def _inside(walk: _Walk, folder: Path, path: Path) -> bool:
    """Whether a path stays in the folder when links are followed; one that does not is noted."""
    if path.resolve().is_relative_to(folder):
        return True
    walk.rejected.append(Rejected(_name(folder, path), "a link that leaves the folder"))
    return False


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _captions(folder: Path, walk: _Walk) -> dict[str, str]:
    """The captions in metadata files, by clip; rows that cannot be used go to the rejected."""
    finder, captions = Finder(folder, walk.clips), {}
    for row in _rows(folder):
        try:
            if row.problem:
                raise DataError(row.problem)
            name = finder.find(row.file)
            if captions.setdefault(name, row.text) != row.text:
                raise DataError(f"{row.file} is listed twice; the first caption is used")
        except DataError as error:
            walk.rejected.append(Rejected(row.where, str(error)))
    return captions


def _rows(folder: Path) -> Iterator[Row]:
    for path in (folder / name for name in METADATA):
        if path.is_file():
            yield from read_metadata(path)


def _caption(clip: Path, listed: str | None) -> str:
    """The text file of a clip goes before the metadata. Raises DataError without either."""
    beside = read_text(clip)
    if caption := beside or listed:
        return caption
    if beside is None and listed is None:
        raise DataError("no caption: neither a .txt of its name nor a row in a metadata file")
    raise DataError("its caption is empty")


def _check_utf8(text: str, problem: str) -> None:
    """Raises DataError for a text that cannot be written: the bytes of a name in another encoding
    are read as lone surrogates, and JSON may hold such."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(problem) from error
