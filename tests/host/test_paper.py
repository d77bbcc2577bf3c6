"""The paper's benchmark in a real ComfyUI: every way gives a video that is scored."""

from __future__ import annotations

import pytest

from benchmarks.paper.__main__ import judge, scenes
from benchmarks.paper.ways import Run

pytestmark = pytest.mark.host


def test_every_way_is_made_and_scored(client):
    run = Run(seeds=2, steps=(4,))
    (category, _, scene), *_ = scenes(1)
    assert category == scene.prompt.category
    found = judge(client, scene, 3, run)
    assert set(found) == {f"{way}/{steps}" for way, steps in run.cells()}
    assert all(len(scores) == 2 and all(0 <= s <= 1 for s in scores) for scores in found.values())
