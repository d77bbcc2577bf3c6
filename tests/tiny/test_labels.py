"""Labels of generated clips against the scorer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fvg_core.errors import DataError
from fvg_core.tiny import labels
from fvg_core.tiny.render import render
from fvg_core.tiny.scenes import sample_scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve clips of drawn scenes; the scorer finds the even ones right."""
    rng = random.Random(0)
    videos = list(render([sample_scene(rng) for _ in range(12)]).numpy())
    scores = [float(i % 2) for i in range(12)]
    labels.draw(tmp_path, [f"prompt {i}" for i in range(1, 13)], videos, scores)
    return tmp_path


def label(folder: Path, said: dict[int, str]) -> None:
    path = folder / "labels.txt"
    lines = [line.split(" ", 2) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{n} {said.get(int(n), '?')} {p}\n" for n, _, p in lines))


def test_sheets_show_every_clip_and_no_score(folder: Path):
    assert {p.name for p in folder.iterdir()} == {
        "sheet-1.png", "sheet-2.png", "labels.txt", "scores.json",
    }  # fmt: skip
    first, second = (Image.open(folder / f"sheet-{i}.png") for i in (1, 2))
    assert first.height > 4 * second.height  # ten rows and two
    assert "0.0" not in (folder / "labels.txt").read_text()


def test_agreement_names_those_on_which_they_differ(folder: Path):
    said = {i: "yes" if i % 2 == 0 else "no" for i in range(1, 11)}
    label(folder, {**said, 3: "yes", 8: "no"})  # 11 and 12 stay open
    found = labels.agreement(folder)
    assert (found.count, found.share) == (10, 0.8)
    assert (found.only_person, found.only_scorer) == ((3,), (8,))
    assert "only: 8. " in str(found)


@pytest.mark.parametrize("line", ["13 yes", "x yes", "2 perhaps", "0 no"])
def test_what_is_no_label_is_refused(folder: Path, line: str):
    (folder / "labels.txt").write_text(f"1 yes\n{line}\n")
    with pytest.raises(DataError, match="a number from 1 to 12"):
        labels.agreement(folder)


def test_nothing_is_lost_or_made_up(folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match="fill it in"):
        labels.agreement(folder)
    with pytest.raises(DataError, match="there already"):
        labels.draw(folder, ["p"], [np.zeros((17, 64, 64, 3), np.uint8)], [0.0])
    with pytest.raises(DataError, match=r"fvg_core\.tiny sheet FOLDER"):
        labels.agreement(tmp_path / "none")
