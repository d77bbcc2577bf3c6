"""Captions: a text file beside each clip, or a metadata file for the whole folder.

Metadata files of these layouts are read, from the top of the folder:

DiffSynth-Studio   metadata.csv, .json or .jsonl with `video,prompt`; paths below the folder
Pusa V1.0, older   metadata.csv with `file_name,text`; the names are those of files in `train/`
DiffSynth-Studio
Hugging Face       metadata.csv or .jsonl with `file_name,text`
UltraVideo         short.csv or long.csv with `clip_id` (a file name) and captions of ten kinds;
                   the clips are in folders such as `clips_short/`
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.json", "short.csv", "long.csv")
FILE_COLUMNS = ("video", "file_name", "clip_id", "video_path", "file_path", "path", "file")
# UltraVideo's summary joins its other descriptions; the shorter ones stand in for an empty one.
TEXT_COLUMNS = (
    "prompt",
    "text",
    "caption",
    "summarized description",
    "detailed description",
    "brief description",
    "description",
)


@dataclass(frozen=True)
class Row:
    """One line of a metadata file: where it stands, and the file as written there.

    `problem`: why it cannot be used; empty for a good one.
    """

    where: str
    file: str = ""
    text: str = ""
    problem: str = ""


def read_text(clip: Path) -> str | None:
    """The caption in the text file of the same name, or None where there is no such file.

    Raises DataError for one that is not UTF-8.
    """
    path = clip.parent / f"{clip.name if clip.is_dir() else clip.stem}.txt"
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise DataError(f"its caption {path.name} is not UTF-8 text") from error


def read_metadata(path: Path) -> Iterator[Row]:
    """The rows of a metadata file, those with a problem too."""
    try:
        for where, fields in _records(path):
            yield _row(f"{path.name}, {where}", fields)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        yield Row(path.name, problem=f"not a readable UTF-8 {path.suffix[1:]} file: {error}")


def _records(path: Path) -> Iterator[tuple[str, object]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".csv":
            for fields in (reader := csv.DictReader(file)):
                yield f"line {reader.line_num}", fields
        elif path.suffix == ".jsonl":
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", _json(line)
        else:
            entries = json.load(file)
            if not isinstance(entries, list):
                raise ValueError("expected a list of objects")
            yield from ((f"entry {number}", fields) for number, fields in enumerate(entries, 1))


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return line


def _row(where: str, fields: object) -> Row:
    if not isinstance(fields, Mapping):
        return Row(where, problem="not an object with a file and a text")
    cells = {
        key.strip().lower(): value.strip()
        for key, value in fields.items()
        if isinstance(key, str) and isinstance(value, str)
    }
    file = next((cells[name] for name in FILE_COLUMNS if cells.get(name)), "")
    if not file:
        return Row(where, problem=f"no file in any of the columns {', '.join(FILE_COLUMNS)}")
    text = next((cells[name] for name in TEXT_COLUMNS if cells.get(name)), "")
    return Row(where, file, " ".join(text.split()))


class Finder:
    """Finds the clips that metadata speaks of: by path below the folder, or by its end."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self.by_last: dict[str, list[str]] = {}
        for name in names:
            path = PurePosixPath(name)
            for last in {path.name, path.stem}:
                self.by_last.setdefault(last, []).append(name)

    def find(self, file: str) -> str:
        """The name of the one clip that is meant. Raises DataError with the reason."""
        file = file.replace("\\", "/")
        try:
            path = (self.folder / file).resolve()
        except (OSError, ValueError) as error:
            raise DataError(f"{file} is not a path: {error}") from error
        if not path.is_relative_to(self.folder):
            raise DataError(f"{file} leads out of the folder; move the clip into it")
        name = path.relative_to(self.folder).as_posix()
        ends = [n for n in self.by_last.get(PurePosixPath(name).name, ()) if _ends(n, name)]
        if name in ends:
            return name
        if len(ends) > 1:
            raise DataError(f"{file} may be any of {', '.join(ends)}; write the path")
        if not ends:
            raise DataError(f"{file} is missing, or is not a clip that can be read")
        return ends[0]


def _ends(name: str, end: str) -> bool:
    """Whether a clip's name ends in this path, its suffix left out or not."""
    return any(
        f"/{candidate}".endswith(f"/{end}")
        for candidate in (name, PurePosixPath(name).with_suffix("").as_posix())
    )
