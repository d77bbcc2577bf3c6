"""Best of N on numbers one can check by hand, and its graph."""

from __future__ import annotations

import pytest

from benchmarks import best_of
from benchmarks.best_of import COUNTS
from fvg_core.categories import CATEGORIES

ROWS = [
    # The scorer prefers the third picture, which gives the better video; the eighth's is best.
    {"scores": [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5], "videos": [0, 0, 0.5, 0, 0, 0, 0, 1.0]},
    # It prefers the second, which gives the worse one.
    {"scores": [0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], "videos": [0.75, 0.25, 0, 0, 0, 0, 0, 0]},
    # Where it has no scores, the first is taken.
    {"scores": [], "videos": [1.0, 0, 0, 0, 0, 0, 0, 0]},
]


def test_the_video_of_the_preferred_picture_counts():
    table = best_of.summarise(ROWS)
    assert [table[str(n)]["taken"] for n in COUNTS] == pytest.approx(
        [1.75 / 3, 1.25 / 3, 1.75 / 3, 1.75 / 3]
    )
    assert [table[str(n)]["gain"] for n in COUNTS] == pytest.approx([0, -0.5 / 3, 0, 0])
    assert [table[str(n)]["possible"] for n in COUNTS] == pytest.approx(
        [1.75 / 3, 1.75 / 3, 2.25 / 3, 2.75 / 3]
    )
    assert best_of.summarise(2 * ROWS)["1"]["ci95"] == 0
    # Gains of 0.5, -0.5 and 0, twice: a variance of 1/5, and Student's t of five degrees.
    assert best_of.summarise(2 * ROWS)["4"]["ci95"] == pytest.approx(2.570582 * (0.2 / 6) ** 0.5)


def test_the_animated_pictures_are_those_that_are_scored():
    (item, *_) = items = best_of.items(1)
    assert [i.category for i in items] == [*CATEGORIES]
    assert all(i.scene.prompt.held_out for i in items)
    nodes = best_of.graph(item).nodes
    (injector,) = (n for n in nodes.values() if n["class_type"] == "FVGAnchorLatentInjector")
    drawn = injector["inputs"]["image"]
    assert nodes["scorer"]["inputs"]["images"] == drawn
    assert nodes[drawn[0]]["class_type"] == "FVGAnchorImageGenerator"
    assert nodes[drawn[0]]["inputs"]["candidates"] == max(COUNTS)
