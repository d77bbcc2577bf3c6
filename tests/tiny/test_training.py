"""The second edition's pipeline from nothing to files that ComfyUI loads, with a few steps each."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from fvg_core.bench.video import read_frames
from fvg_core.errors import WeightsError
from fvg_core.tiny.clips import write_clips
from fvg_core.tiny.render import render
from fvg_core.tiny.train import data, dit, pipeline, text, vae
from fvg_core.tiny.train.pipeline import Pipeline
from fvg_core.tiny.train.loop import plateau

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def short():
    """The same stages, as short as they can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae, "CURRICULUM", ((1, 1, 1), (1, 5, 1)))
        patch.setattr(vae, "STATISTICS", 1)
        for name, value in {"LINES": 600, "STEPS": 3, "SCENES": 4, "BATCH": 2}.items():
            patch.setattr(text, name, value)
        patch.setattr(data, "SHARD", {"clips": 2, "stills": 4})
        patch.setattr(data, "BATCH", {"clips": 1, "stills": 4})
        small = {"num_attention_heads": 1, "num_layers": 1, "ffn_dim": 64}
        recipes = {
            kind: dit.Recipe({**r.config, **small}, r.caption, batch=2, steps=4, lr=r.lr)
            for kind, r in dit.RECIPES.items()
        }
        patch.setattr(dit, "RECIPES", recipes)
        yield


@pytest.fixture(scope="module")
def trained(short, tmp_path_factory) -> Pipeline:
    made = Pipeline(tmp_path_factory.mktemp("lab"), CPU, shards=1)
    for stage in pipeline.STAGES:
        made.train(stage)
    return made


def test_a_stage_asks_for_the_one_before(short, tmp_path: Path):
    with pytest.raises(WeightsError, match="--stage vae"):
        Pipeline(tmp_path, CPU, shards=1).train("data")


def test_the_files_are_those_that_the_host_loads(trained: Pipeline, tmp_path: Path):
    trained.save(tmp_path)
    keys = {}
    for name in ("vae", "text_encoder", "video", "image"):
        with safe_open(tmp_path / f"fvg_tiny_{name}.safetensors", "pt") as file:
            keys[name] = set(file.keys())
            assert "recipe" in file.metadata()
            assert file.metadata()["edition"] == pipeline.EDITION
            if name != "vae":
                assert "config" in file.metadata()
    assert "decoder.head.0.gamma" in keys["vae"]  # by which the host knows the width
    assert "spiece_model" in keys["text_encoder"]
    assert "blocks.0.self_attn.q.weight" in keys["video"] & keys["image"]


def test_scores_are_of_all_categories(trained: Pipeline):
    scores = trained.score(count=1, steps=1)
    assert len(scores) == 7
    assert all(0 <= s <= 1 for s in scores.values())


def test_clips_are_drawn_for_a_person_to_label(trained: Pipeline, tmp_path: Path):
    *sheets, labels = trained.sheets(tmp_path, count=3, steps=1)
    assert [p.name for p in sheets] == ["sheet-1.png"]
    assert len(labels.read_text().splitlines()) == 3


def test_an_interrupted_training_ends_with_the_same_weights(trained: Pipeline, monkeypatch):
    whole = torch.load(trained.work / "video.pt", weights_only=True)["modules"]["model"]
    (trained.work / "video.pt").unlink()
    clock = itertools.count()
    monkeypatch.setattr("fvg_core.tiny.train.loop.time.monotonic", lambda: float(next(clock)))
    parts = Pipeline(trained.work, CPU, seconds=6, shards=1)
    parts.train("video")
    assert 0 < torch.load(trained.work / "video.pt", weights_only=True)["step"] < 4
    for _ in range(4):
        parts.train("video")
    again = torch.load(trained.work / "video.pt", weights_only=True)
    assert again["step"] == 4
    torch.testing.assert_close(again["modules"]["model"], whole, rtol=0, atol=0)


def test_scoring_trains_nothing(trained: Pipeline):
    before = (trained.work / "video.pt").read_bytes()
    Pipeline(trained.work, CPU, shards=1, steps=9).score(count=1, steps=1)
    assert (trained.work / "video.pt").read_bytes() == before


def test_steps_can_be_added_to_a_plan():
    """What was done of a plan of 1,000 steps, but its end, is the start of one of 4,000."""
    assert all(plateau(step / 1000) == plateau(step / 4000) == 1 for step in range(0, 800, 50))
    assert plateau(0.9) == pytest.approx(0.5)
    assert 0 < plateau(1.0) < 0.02


def test_clips_for_the_lora_are_of_the_same_world(tmp_path: Path):
    write_clips(tmp_path, 2, pipeline.EDITION)
    for index in range(2):
        frames = read_frames(tmp_path / f"clip-{index:05d}.mp4")
        drawn = render([data.clip_scene(index)])[0].numpy().astype(int)
        assert np.abs(np.stack([np.array(f) for f in frames]) - drawn).mean() < 3
        said = (tmp_path / f"clip-{index:05d}.txt").read_text().strip()
        assert data.clip_scene(index).prompt.actors[0].color in said
