"""Pictures that an earlier batch, or an earlier phase, has drawn, and what a person chose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BatchError
from .phases import ANCHORS
from .prompt_list import Entry, drawn_by
from .results import Json
from .store import finished_lines


class Pictures:
    """Anchors that a batch has drawn: of each line's candidates the chosen one, or the first."""

    def __init__(self, folder: Path, choices: dict[str, int] | None = None) -> None:
        self.folder, self.chosen_only = folder, choices is not None
        self.drawn: dict[tuple[str, int | None, int], list[Json]] = {}
        self.paths: dict[str, Path] = {}  # by the key of their work
        root = folder / ANCHORS
        counts: dict[str, int] = {}
        for line in finished_lines(root / "manifest.jsonl"):
            key, names = line["key"], [file["name"] for file in line["files"]]
            counts[key] = len(names)
            index = 0 if choices is None else choices.get(key)
            if index is not None and index < len(names):
                self.paths[key] = root / names[index]
            said = {name: line[name] for name in ("key", *drawn_by(Entry(""))) if name in line}
            place = line["prompt"], line["seed"], line["variation"]
            self.drawn.setdefault(place, []).append(said)
        if not counts:
            raise BatchError(
                f"{folder} holds no anchors. Name the --out of a batch that drew them, for "
                "example with --stop-after anchors."
            )
        for key, index in (choices or {}).items():
            if key not in counts or index >= counts[key]:
                raise BatchError(
                    f"The choices do not belong to the anchors in {folder}: there is no picture "
                    f"{index} of {key[:16]!r}. Choose again in its contact sheet."
                )

    def give(self, entry: Entry, seed: int | None) -> Entry | None:
        """The entry with its picture; None where nobody chose one. Its own anchor counts more."""
        if entry.anchor is not None:
            return entry
        keys = {line["key"] for line in self._lines(entry, seed)} & self.paths.keys()
        if len(keys) > 1:
            raise BatchError(
                f"{self.folder} has {len(keys)} drawings for {entry.prompt[:60]!r} with seed "
                f"{seed}, and nothing in its line tells which. Choose in one of them only, with "
                "--choices, or draw the list into a folder of its own."
            )
        if not keys and not self.chosen_only:
            raise BatchError(
                f"{self.folder} has no anchor for {entry.prompt[:60]!r} with seed {seed} and the "
                "size of its line. Draw it first, with the same prompts, sizes and --seeds."
            )
        return replace(entry, anchor=self.paths[keys.pop()]) if keys else None

    def _lines(self, entry: Entry, seed: int | None) -> list[Json]:
        """The drawings of an entry, by seed or without one. Size must agree; negative and `set`,
        which may be for the video alone, count where they tell drawings apart."""
        asked = drawn_by(entry)

        def agreeing(lines: list[Json], name: str) -> list[Json]:  # older manifests do not say
            return [line for line in lines if line.get(name, asked[name]) == asked[name]]

        for each in (seed, None):
            place = entry.prompt, each, entry.variation
            if lines := agreeing(self.drawn.get(place, []), "size"):
                lines = agreeing(lines, "negative") or lines
                return agreeing(lines, "set") or lines
        return []


def read_choices(path: Path) -> dict[str, int]:
    """What a contact sheet saved: which candidate, by the key of its work."""
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BatchError(f"The choices {path} cannot be read: {error}.") from error
    whole = isinstance(said, dict) and all(type(i) is int and i >= 0 for i in said.values())
    if not whole or not said:
        raise BatchError(f"{path} holds no choices. Save them in the contact sheet.")
    return dict(said)
