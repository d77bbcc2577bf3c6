"""Pictures that an earlier batch, or an earlier phase, has drawn, and what a person chose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BatchError
from .phases import ANCHORS
from .prompt_list import Entry
from .store import finished_lines


class Pictures:
    """Anchors that a batch has drawn, by prompt and seed: the chosen one, or the first."""

    def __init__(self, folder: Path, choices: dict[str, int] | None = None) -> None:
        self.folder, self.chosen_only = folder, choices is not None
        self.found: dict[tuple[str, int | None, int], Path] = {}
        root = folder / ANCHORS
        counts: dict[str, int] = {}
        for line in finished_lines(root / "manifest.jsonl"):
            names = [file["name"] for file in line["files"]]
            counts[line["key"]] = len(names)
            index = 0 if choices is None else choices.get(line["key"])
            if index is not None and index < len(names):
                self.found[line["prompt"], line["seed"], line["variation"]] = root / names[index]
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
        tried = ((entry.prompt, each, entry.variation) for each in (seed, None))
        path = next((self.found[each] for each in tried if each in self.found), None)
        if path is None and not self.chosen_only:
            raise BatchError(
                f"{self.folder} has no anchor for {entry.prompt[:60]!r} with seed {seed}. Draw it "
                "first, with the same prompts and --seeds."
            )
        return path and replace(entry, anchor=path)


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
