"""Does the scorer see what a person sees? Generated clips on numbered sheets, and labels of them.

The labels are a text file with one line for each clip: its number, yes or no, and its prompt. The
scores lie beside it and on no sheet, so that nobody is led by them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..bench.sheet import Row, Sheet, draw_sheet
from ..bench.video import spread
from ..errors import DataError
from .scorer import RIGHT

_ROWS, _SHOWN = 10, 8  # clips of a sheet, frames of a clip
_LINE = re.compile(r"(\d+)\s+(yes|no|\?)(\s|$)")
_LABELS, _SCORES = "labels.txt", "scores.json"


@dataclass(frozen=True)
class Agreement:
    """Of `count` labelled clips those on which scorer and person agree, and the numbers of those
    that only one of them finds right."""

    count: int
    share: float
    only_scorer: tuple[int, ...]
    only_person: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{self.count} clips labelled; agreement {self.share:.3f}. Right for the scorer only: "
            f"{_numbers(self.only_scorer)}. Right for the person only: "
            f"{_numbers(self.only_person)}."
        )


def draw(
    folder: Path, prompts: Sequence[str], videos: Sequence[np.ndarray], scores: Sequence[float]
) -> list[Path]:
    """Write sheets of uint8 videos [F, H, W, 3], scores, and labels to fill in; the paths.

    Raises DataError where labels lie already.
    """
    labels = folder / _LABELS
    if labels.exists():
        raise DataError(f"{labels} is there already; name another folder, or move it away.")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for first in range(0, len(videos), _ROWS):
        numbers = range(first, min(first + _ROWS, len(videos)))
        rows = [_row(i + 1, prompts[i], videos[i]) for i in numbers]
        made.append(folder / f"sheet-{first // _ROWS + 1}.png")
        heading = Sheet("Does the clip show its prompt?", "yes or no, by number", [], rows)
        draw_sheet(heading).save(made[-1])
    (folder / _SCORES).write_text(json.dumps([float(s) for s in scores]) + "\n")
    lines = (f"{i} ? {prompt}\n" for i, prompt in enumerate(prompts, start=1))
    labels.write_text("".join(lines), encoding="utf-8")
    return [*made, labels]


def agreement(folder: Path) -> Agreement:
    """Compare the labels with the scores. Raises DataError for labels that cannot be read."""
    try:
        scores = json.loads((folder / _SCORES).read_text(encoding="utf-8"))
        lines = (folder / _LABELS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no sheets to compare ({error}); draw them first: "
            "python -m fvg_core.tiny sheet FOLDER."
        ) from error
    person: dict[int, bool] = {}
    for line in filter(str.strip, lines):
        found = _LINE.match(line)
        if not found or not 1 <= int(found[1]) <= len(scores):
            raise DataError(
                f"a label is {line[:60]!r}; a number from 1 to {len(scores)}, then yes, no or ? "
                "is expected."
            )
        if found[2] != "?":
            person[int(found[1])] = found[2] == "yes"
    if not person:
        raise DataError(f"{folder / _LABELS} has no yes and no no yet; fill it in.")
    scorer = {i: scores[i - 1] >= RIGHT for i in person}
    differ = [i for i in person if person[i] != scorer[i]]
    return Agreement(
        len(person),
        1 - len(differ) / len(person),
        tuple(i for i in differ if scorer[i]),
        tuple(i for i in differ if person[i]),
    )


def _row(number: int, prompt: str, video: np.ndarray) -> Row:
    shown = spread(_SHOWN, len(video))
    return Row(f"{number}", prompt, [Image.fromarray(video[i]) for i in shown], [])


def _numbers(found: Sequence[int]) -> str:
    return ", ".join(map(str, found)) or "none"
