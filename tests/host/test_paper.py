"""The paper's benchmark in a real ComfyUI: every way gives a video that is scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from benchmarks.paper import cost, graphs, run, spread, ways
from benchmarks.paper.graphs import ways_graph
from benchmarks.paper.ways import FVG, NO_LORA, NOISED, SHARED, T2V, TRUE, WAYS, cells, key
from dev.recipe import WEIGHTS
from fvg_core.tiny.render import FRAMES, SIZE

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

STEPS = 2
PLAN = replace(run.QUICK, seeds=1, steps=(STEPS,), repeats=2)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in few steps."""
    for name, way in WAYS.items():
        monkeypatch.setitem(WAYS, name, replace(way, steps=(STEPS,)))
    monkeypatch.setitem(graphs.IMAGE_SAMPLING, "steps", 4)
    for module in (spread, ways):
        monkeypatch.setattr(module, "FEW", STEPS)
    monkeypatch.setattr(spread, "T2V_STEPS", STEPS)


def test_every_way_is_made_scored_and_shown(short, client, tmp_path: Path):
    item, *_ = run.items(1)
    row = run.judge_ways(client, item, PLAN, tmp_path)
    assert set(row["scores"]) == {key(cell) for cell in cells((STEPS,))}
    assert all(len(s) == 1 and all(0 <= v <= 1 for v in s) for s in row["scores"].values())
    assert row["names_all"] == all(a.color in row["first_frame"] for a in item.scene.prompt.actors)
    sheet = Image.open(tmp_path / "sheets" / f"{item.category}.jpg")
    assert sheet.height > 120 * len(WAYS)


def test_anchors_are_held_as_the_ways_say(short, client):
    """From one true frame: kept by all but the noised one, and every way makes another video."""
    item, *_ = run.items(1)
    file = run.upload_frame(client, item)
    names = (TRUE, NO_LORA, SHARED, NOISED)
    graph = ways_graph(item.words, file, 1, 1, [(name, STEPS) for name in names])
    videos = {n: v[0].astype(int) for n, v in run.make(client, graph).items()}
    assert {v.shape for v in videos.values()} == {(FRAMES, SIZE, SIZE, 3)}
    first = [videos[key((name, STEPS))][0] for name in names]
    assert max(np.abs(a - first[0]).max() for a in first[1:3]) == 0
    later = [videos[key((name, STEPS))][8:] for name in names]
    for i, one in enumerate(later):
        assert all(np.abs(one - other).mean() > 0.5 for other in later[i + 1 :])


def test_sets_share_what_they_are_said_to_share(short, client, tmp_path: Path):
    item, *_ = run.items(1)
    file = run.upload_frame(client, item)
    graph = spread.spread_graph(item.words, item.scene, file, 5, 2)
    videos = spread.gather(run.make(client, graph))
    assert {name: len(v) for name, v in videos.items()} == dict.fromkeys(spread.SETS, 2)
    frame = lambda name, i: videos[name][i, 0].astype(int)
    assert np.array_equal(frame(spread.NOISE, 0), frame(spread.NOISE, 1))
    assert not np.array_equal(frame(spread.ANCHORS, 0), frame(spread.ANCHORS, 1))
    # The same first anchor and the same first noise, up to the sums of batches.
    near = lambda a, b: np.abs(a.astype(int) - b).mean() < 0.5
    assert near(videos[spread.NOISE][0], videos[spread.WHOLE][0])
    assert near(videos[spread.NOISE][0], videos[spread.ANCHORS][0])
    assert near(frame(spread.WHOLE, 1), frame(spread.ANCHORS, 1))
    assert not near(videos[spread.WHOLE][1], videos[spread.ANCHORS][1])  # other noise
    scores = run.scored(videos, item.scene)
    assert spread.row_of(videos, scores)["diversity"][spread.WHOLE] > 0


def test_the_clock_of_fvg_runs_all_of_it(short, client):
    """Also right after T2V on the same prompt, when the host keeps what it can."""
    *_, item = run.items(1)
    file = run.upload_frame(client, item)
    plain, fvg = (ways_graph(item.words, file, 90_000, 1, [(way, 2)]) for way in (T2V, FVG))
    client.run(plain.nodes)
    kept = client.run(fvg.nodes).cached
    assert kept <= {"world", "lora", "file", "text/none"}


def test_operations_are_those_of_the_shapes(client):
    """Of the transformers: two for every weight of a linear layer and token, and attention."""
    item, *_ = run.items(1)
    parts = cost.count(client, item.words, run.upload_frame(client, item))
    assert set(parts) == {"text", "video", "image", "encode", "decode video", "decode image"}
    assert all(value > 0 for value in parts.values())
    assert parts["decode video"] > 4 * parts["decode image"]
    with safe_open(WEIGHTS / "fvg_tiny_video.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])["transformer"]
    wide, ffn, layers = (config[name] for name in ("dim", "ffn_dim", "num_layers"))
    tokens = 5 * 4 * 4  # of the latent
    linear = layers * (6 * wide**2 + 2 * wide * ffn)  # without the text's keys and values
    attention = layers * 2 * tokens * wide
    least = 2 * tokens * (linear + attention)
    assert least < parts["video"] < 1.5 * least
    whole = cost.totals(parts)
    assert whole[T2V]["video model"] == 100 * parts["video"]
    assert whole[FVG]["video model"] == 30 * parts["video"]
