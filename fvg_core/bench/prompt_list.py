"""Prompt lists: text, CSV or JSONL, read line by line, so that their length costs no memory."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import BatchError

COLUMNS = ("prompt", "seed", "negative", "width", "height", "size", "anchor", "set")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
LARGEST_SEED = 2**64 - 1
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Entry:
    """One prompt and what its line changes. `line` counts from 1; `size` is (width, height);
    `variation` counts the wordings of its first frame from 0.

    `settings` are (address, value) as for --set. `targets` are the names a suite wants, one for
    each folder the video belongs into; without them the batch names the file.
    """

    prompt: str
    line: int = 0
    seed: int | None = None
    negative: str | None = None
    size: tuple[int, int] | None = None
    anchor: Path | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    targets: tuple[str, ...] = ()
    variation: int = 0


def drawn_by(entry: Entry) -> dict[str, Any]:
    """What beside prompt, seed and variation may change an entry's candidates, as JSON has it."""
    size = None if entry.size is None else list(entry.size)
    return {"size": size, "negative": entry.negative, "set": dict(entry.settings)}


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a list; the ending of its name says what it is, and without one it is text."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise BatchError(
            f"{path}: lists in {path.suffix} are not read. Expected .txt (a prompt a line), .csv, "
            "or .jsonl (an object a line)."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="" if read is _csv else None) as lines:
            yield from read(path, lines)
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BatchError(f"{path} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from error


def _text(path: Path, lines: Any) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Entry(line.strip(), number)


def _csv(path: Path, lines: Any) -> Iterator[Entry]:
    reader = csv.DictReader(lines, strict=True)
    try:
        columns = reader.fieldnames or ()
        if "prompt" not in columns:
            raise BatchError(
                f"{path}: the first line must name the columns, one of them 'prompt'; it is "
                f"{', '.join(columns) or 'empty'}. Columns: {', '.join(COLUMNS)}."
            )
        repeated = [n for n, count in Counter(columns).items() if n and count > 1]
        if repeated:
            raise BatchError(
                f"{path}: the first line names {repeated[0]!r} more than once, so one of these "
                "columns would be lost. Leave one of them."
            )
        for row in reader:
            if None in row or None in row.values():
                raise BatchError(
                    f"{path}, line {reader.line_num}: not as many fields as columns. Put prompts "
                    "with commas between double quotes."
                )
            yield entry({k: v for k, v in row.items() if v}, path, reader.line_num)
    except csv.Error as error:
        raise BatchError(f"{path}, line {reader.line_num}: {error}.") from error


def _jsonl(path: Path, lines: Any) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise BatchError(f"{path}, line {number} is not JSON: {error}.") from error
        if not isinstance(fields, dict):
            raise BatchError(f'{path}, line {number}: expected an object, {{"prompt": "..."}}.')
        yield entry({k: v for k, v in fields.items() if v is not None}, path, number)


READERS = {"": _text, ".txt": _text, ".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}


def entry(fields: dict[str, Any], path: Path, line: int) -> Entry:
    """The entry of one row; anchors are found beside the list."""
    where = f"{path}, line {line}"
    for name in fields:
        if name not in COLUMNS:
            near = get_close_matches(str(name), COLUMNS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(COLUMNS)}."
            raise BatchError(f"{where}: there is no field {name!r}.{hint}")
    for name in ("prompt", "negative"):
        if not isinstance(fields.get(name, ""), str):
            raise BatchError(f"{where}: {name} must be text.")
    for name in ("prompt", "negative", "set"):
        if re.search("[\ud800-\udfff]", json.dumps(fields.get(name), ensure_ascii=False)):
            raise BatchError(f"{where}: {name} holds half a character (a lone surrogate).")
    prompt = fields.get("prompt", "").strip()
    if not prompt:
        raise BatchError(f"{where}: the prompt is empty. Describe the video, or remove the line.")
    settings = fields.get("set", {})
    if not isinstance(settings, dict):
        raise BatchError(f'{where}: "set" must be an object, {{"Node title.widget": value}}.')
    return Entry(
        prompt,
        line,
        _whole(fields["seed"], LARGEST_SEED, f"{where}: seed") if "seed" in fields else None,
        fields.get("negative"),
        _size(fields, where),
        _anchor(fields["anchor"], path, where) if "anchor" in fields else None,
        tuple(settings.items()),
    )


def _whole(value: Any, most: int, what: str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > most:
        raise BatchError(f"{what} is {value!r}; expected a whole number from 0 to {most}.")
    return int(text)


def _size(fields: dict[str, Any], where: str) -> tuple[int, int] | None:
    if "size" in fields:
        found = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×]\s*([0-9]{1,6})\s*", str(fields["size"]))
        if not found or "width" in fields or "height" in fields:
            raise BatchError(
                f"{where}: size is {fields['size']!r}; expected for example 832x480, and no width "
                "and height beside it."
            )
        return int(found[1]), int(found[2])
    if "width" not in fields and "height" not in fields:
        return None
    if "width" not in fields or "height" not in fields:
        raise BatchError(f"{where}: width and height belong together; one is missing.")
    width, height = (_whole(fields[n], 999_999, f"{where}: {n}") for n in ("width", "height"))
    return width, height


def _anchor(value: Any, path: Path, where: str) -> Path:
    picture = path.parent / str(value)
    if picture.suffix.lower() not in PICTURES or not picture.is_file():
        raise BatchError(
            f"{where}: anchor {str(value)!r} is not a picture beside {path}. Expected a file that "
            f"exists and ends in {', '.join(PICTURES)}."
        )
    return picture


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from "7", "0-4" or "1,3,10-12", in that order, each once."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,20})\s*(?:-\s*([0-9]{1,20})\s*)?", part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if low > high or high > LARGEST_SEED or high - low + len(seeds) >= MOST_SEEDS:
            raise BatchError(
                f"--seeds {text!r}: {part.strip()!r} is not understood. Expected numbers and "
                f"ranges such as 0-4 or 1,3,10-12; at most {MOST_SEEDS} seeds."
            )
        seeds.update(dict.fromkeys(range(low, high + 1)))
    return tuple(seeds)
