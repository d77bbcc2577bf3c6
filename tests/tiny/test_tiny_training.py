"""The pipeline from nothing to files that ComfyUI loads, with a few steps each."""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fvg_core.bench.video import read_frames
from fvg_core.categories import CATEGORIES
from fvg_core.errors import WeightsError
from fvg_core.tiny import captions
from fvg_core.tiny.clips import write_clips
from fvg_core.tiny.render import presence, render
from fvg_core.tiny.seeing import look
from fvg_core.tiny.train import data, dit, evaluate, loop, pipeline, record, text, vae
from fvg_core.tiny.train.loop import plateau
from fvg_core.tiny.train.pipeline import Pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def short():
    """The same stages, as short as they can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae, "CURRICULUM", ((1, 1, 32, 2), (1, 5, 32, 1)))
        patch.setattr(vae, "DECODER_ALONE", 1)
        patch.setattr(vae, "STEPS", 2)
        patch.setattr(vae, "STATISTICS", 1)
        for name, value in {"LINES": 600, "STEPS": 3, "SCENES": 4, "BATCH": 2}.items():
            patch.setattr(text, name, value)
        patch.setattr(data, "SHARD", {"clips": 2, "stills": 4})
        patch.setattr(data, "BATCH", {"clips": 1, "stills": 4})
        small = {"num_attention_heads": 1, "num_layers": 3, "ffn_dim": 64}
        recipes = {
            kind: replace(r, config={**r.config, **small}, shards=1, batch=2, steps=4)
            for kind, r in dit.RECIPES.items()
        }
        patch.setattr(dit, "RECIPES", recipes)
        yield


@pytest.fixture(scope="module")
def trained(short, tmp_path_factory) -> Pipeline:
    made = Pipeline(tmp_path_factory.mktemp("tiny"), CPU)
    for stage in pipeline.STAGES:
        made.train(stage)
    return made


def test_a_stage_asks_for_the_one_before(short, tmp_path: Path):
    with pytest.raises(WeightsError, match="--stage vae"):
        Pipeline(tmp_path, CPU).train("data")
    nothing = Pipeline(tmp_path / "none", CPU)
    with pytest.raises(WeightsError, match="--stage vae"):
        nothing.save(tmp_path / "weights")
    with pytest.raises(WeightsError, match="--stage image"):
        nothing.score("image", 1, 1)
    assert not list(tmp_path.iterdir())  # asking makes nothing


def test_the_files_are_those_that_the_host_loads(trained: Pipeline, tmp_path: Path):
    trained.save(tmp_path)
    keys, recipes = {}, {}
    for name in ("vae", "text_encoder", "video", "image"):
        with safe_open(tmp_path / f"fvg_tiny_{name}.safetensors", "pt") as file:
            keys[name] = set(file.keys())
            recipes[name] = json.loads(file.metadata()["recipe"])
            if name != "vae":
                assert "config" in file.metadata()
    assert "decoder.head.0.gamma" in keys["vae"]  # by which the host knows the width
    assert "spiece_model" in keys["text_encoder"]
    assert "blocks.0.self_attn.q.weight" in keys["video"] & keys["image"]
    steps_and_samples = {name: (r["steps"], r["samples"]) for name, r in recipes.items()}
    assert steps_and_samples == {
        "vae": (2, 2 + 1), "text_encoder": (3, 6), "video": (4, 8), "image": (4, 8),
    }  # fmt: skip
    assert recipes["video"]["parts"][0]["shards"] == 1


@pytest.mark.parametrize("kind", ["video", "image"])
def test_an_untrained_model_is_neither_saved_nor_scored(trained: Pipeline, tmp_path: Path, kind):
    checkpoint = trained.work / f"{kind}.pt"
    kept = checkpoint.rename(tmp_path / "kept.pt")
    try:
        for ask in (lambda: trained.save(tmp_path / "w"), lambda: trained.score(kind, 1, 1)):
            with pytest.raises(WeightsError, match=f"stage {kind} has not begun .* --stage {kind}"):
                ask()
    finally:
        kept.rename(checkpoint)
    assert not (tmp_path / "w").exists()


def test_the_record_is_of_what_was_done(tmp_path: Path):
    path = tmp_path / "video.json"
    record.note(path, 0, {"processes": 1, "batch": 8})  # stopped before the first step
    record.note(path, 0, {"processes": 2, "batch": 8})
    record.note(path, 60, {"processes": 2, "batch": 8})  # went on
    record.note(path, 100, {"processes": 1, "batch": 64})
    record.note(path, 110, {"processes": 1, "batch": 1})  # nothing more to do
    parts = [{"from": 0, "processes": 2, "batch": 8}, {"from": 100, "processes": 1, "batch": 64}]
    samples = 100 * 2 * 8 + 10 * 64
    assert record.taken(path, 110) == {"steps": 110, "samples": samples, "parts": parts}
    path.unlink()
    record.note(path, 5, {"processes": 1, "batch": 8})
    with pytest.raises(WeightsError, match=r"video\.json does not say .* first step"):
        record.taken(path, 9)


@pytest.mark.parametrize(
    ("of", "parts"),
    [("vae", {"score"}), ("video", {"score", "composition"}),
     ("image", {"chance wordings", "plain wording"})],
)  # fmt: skip
def test_scores_are_of_all_categories(trained: Pipeline, of, parts):
    found = trained.score(of, count=1, steps=1)
    assert set(found) == parts
    for scores in found.values():
        assert set(scores) >= {*CATEGORIES, "average"}
        assert all(s is None or 0 <= s <= 1 for s in scores.values())


def described(chance: random.Random | None, count: int = 5) -> tuple[list, list, list]:
    """What is seen in drawn first frames, their scenes, and what captions say of them."""
    scenes = evaluate.held_out(count)
    frames = [look(render([s], [0])[0].numpy())[0] for s in scenes]
    return frames, scenes, [captions.moment_spans(s, 0.0, chance) for s in scenes]


def test_drawn_pictures_show_what_their_captions_say():
    for chance in (random.Random(3), None):
        found = evaluate.picture_scores(*described(chance))
        assert found["sides"] == (1 if chance else None)
        assert {v for name, v in found.items() if name != "sides"} == {1}


def test_pictures_of_other_captions_do_not():
    frames, scenes, said = described(random.Random(3))
    turned = [{color: [_mirrored(b) for b in bs] for color, bs in f.items()} for f in frames]
    found = evaluate.picture_scores(turned, scenes, said)
    assert {found[name] for name in (*CATEGORIES, "two objects")} == {1}
    assert found["sides"] == 0
    assert found["places"] < 0.5  # but what is in the center
    nothing = evaluate.picture_scores([{} for _ in frames], scenes, said)
    assert set(nothing.values()) == {0}


def _mirrored(blob):
    """Where it would be in a picture turned upside down."""
    return replace(blob, x=1 - blob.x, y=1 - blob.y)


@torch.no_grad()
def test_reconstructions_are_those_of_the_vae(trained: Pipeline):
    scenes = evaluate.held_out(1)[:2]
    made = np.stack(list(evaluate.reconstructions(trained._vae, scenes))).astype(int)
    whole = trained._vae(vae.pixels_to_input(render(scenes))).sample.clamp(-1, 1)
    expected = (whole.permute(0, 2, 3, 4, 1).numpy() + 1) * 127.5
    assert np.abs(made - expected).mean() < 2  # one of them in half precision
    assert np.abs(made - expected.mean()).mean() > 5


def test_latents_keep_their_statistics_when_other_scenes_are_drawn(trained: Pipeline, monkeypatch):
    before = trained._vae.state_dict()
    monkeypatch.setattr(vae, "sample_scene", lambda *args, **kwargs: data.clip_scene(5))
    after = vae.train(trained.work / "vae.pt", CPU, math.inf).state_dict()
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    monkeypatch.setattr(vae, "LR", vae.LR / 2)
    (trained.work / "vae.pt").rename(trained.work / "former.pt")
    try:
        other = vae.train(trained.work / "vae.pt", CPU, math.inf).state_dict()
    finally:
        (trained.work / "former.pt").replace(trained.work / "vae.pt")
    assert not torch.equal(other["encoder.conv_in.weight"], before["encoder.conv_in.weight"])


def test_clips_are_drawn_for_a_person_to_label(trained: Pipeline, tmp_path: Path):
    *sheets, labels = trained.sheets(tmp_path, count=3, steps=1)
    assert [p.name for p in sheets] == ["sheet-1.png"]
    assert len(labels.read_text().splitlines()) == 3


def test_an_interrupted_training_ends_with_the_same_weights(trained: Pipeline, monkeypatch):
    whole = torch.load(trained.work / "video.pt", weights_only=True)["modules"]["model"]
    (trained.work / "video.pt").unlink()
    clock = itertools.count()
    monkeypatch.setattr("fvg_core.tiny.train.loop.time.monotonic", lambda: float(next(clock)))
    parts = Pipeline(trained.work, CPU, seconds=6)
    parts.train("video")
    assert 0 < torch.load(trained.work / "video.pt", weights_only=True)["step"] < 4
    for _ in range(4):
        parts.train("video")
    again = torch.load(trained.work / "video.pt", weights_only=True)
    assert again["step"] == 4
    torch.testing.assert_close(again["modules"]["model"], whole, rtol=0, atol=0)


def test_the_encoder_stands_where_the_decoder_learns_alone(short, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(vae, "DECODER_ALONE", 2)

    def after(steps: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(vae, "CURRICULUM", ((steps, 1, 32, 1),))
        monkeypatch.setattr(vae, "STEPS", steps)
        vae.train(tmp_path / "vae.pt", CPU, math.inf)
        return torch.load(tmp_path / "vae.pt", weights_only=True)["modules"]["vae"]

    def changed(one: dict, two: dict) -> set[str]:
        return {name.partition(".")[0] for name in one if not torch.equal(one[name], two[name])}

    first, second, third = after(1), after(2), after(3)
    assert changed(first, second) == {"encoder", "quant_conv", "post_quant_conv", "decoder"}
    assert changed(second, third) == {"post_quant_conv", "decoder"}


def test_what_is_shown_is_of_the_latents_own_frames_and_places(trained: Pipeline):
    found = trained._samples("clips", 1)
    scene = data.clip_scene(1)
    covered = presence([scene], data.CELLS)[0]
    assert found.shown[1].shape == (found.z.shape[2], *covered.shape[1:])
    expected = torch.stack([covered[0], *(covered[i : i + 4].mean(0) for i in range(1, 17, 4))])
    assert (found.shown[1] / 255 - expected).abs().max() < 0.01


@pytest.mark.parametrize(("kind", "scene_of"), [("clips", "clip_scene"), ("stills", "still_scene")])
def test_latents_of_other_scenes_or_another_encoder_are_made_again(
    trained: Pipeline, tmp_path: Path, monkeypatch, kind, scene_of
):
    path = tmp_path / kind / "0000.safetensors"

    def made(encoder: torch.nn.Module) -> tuple[bool, torch.Tensor]:
        """Whether the shard was made now, and its latents."""
        if path.exists():
            os.utime(path, (0, 0))
        found = data.samples(kind, encoder, tmp_path, 1, CPU)
        return path.stat().st_mtime > 0, found.z

    now, first = made(trained._vae)
    assert now
    assert not made(trained._vae)[0]
    save_file(load_file(path), path)  # says nothing of where it is from
    assert made(trained._vae)[0]
    other = copy.deepcopy(trained._vae)
    other.encoder.conv_in.weight[0] += 1
    now, changed = made(other)
    assert now
    assert not torch.equal(changed, first)
    drawn = getattr(data, scene_of)
    monkeypatch.setattr(data, scene_of, lambda number: drawn(number + 1))
    assert made(other)[0]
    assert not made(other)[0]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_token_is_asked_for_what_covers_its_own_place(short, kind):
    """The transformer itself tells which token sees a place of the latent."""
    model = dit.build(kind)
    tokens: list[torch.Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda block, args: tokens.append(args[0][0]))
    places = torch.zeros(2, 1, 2, 4, 4)  # one of them is lit in the second
    places[1, 0, 1, 1, 3] = 1
    text = torch.zeros(1, 4, model.config.text_dim)
    for place in places[:, None]:
        model(place.repeat(1, 16, 1, 1, 1), torch.zeros(1), text)
    dark, lit = tokens
    asked = dit._by_token(places[1:].movedim(1, 2), model.config.patch_size[1])[0]
    assert asked.sum() == 1
    assert torch.equal(asked.any(1), (dark != lit).any(1))


def test_the_blocks_learn_to_say_what_is_there(
    trained: Pipeline, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(dit, "SEEING_WEIGHT", 100.0)  # the loss that is told is then this one
    monkeypatch.setattr(loop, "WARMUP", 1)
    monkeypatch.setattr(loop, "LOG_EVERY", 5)
    monkeypatch.setitem(dit.RECIPES, "image", replace(dit.RECIPES["image"], lr=2e-2))
    samples = lambda: trained._samples("stills", 1)
    given = {"seconds": math.inf, "steps": 20}
    dit.train("image", samples, trained._text, tmp_path / "image.pt", CPU, **given)
    losses = [float(x) for x in re.findall(r"loss ([0-9.]+)", capsys.readouterr().out)]
    assert losses[-1] < 0.8 * losses[0]


def test_scoring_trains_nothing(trained: Pipeline):
    before = (trained.work / "video.pt").read_bytes()
    Pipeline(trained.work, CPU, steps=9).score("video", count=1, steps=1)
    assert (trained.work / "video.pt").read_bytes() == before


def test_steps_can_be_added_to_a_plan():
    """What was done of a plan of 1,000 steps, but its end, is the start of one of 4,000."""
    assert all(plateau(step / 1000) == plateau(step / 4000) == 1 for step in range(0, 800, 50))
    assert plateau(0.9) == pytest.approx(0.5)
    assert 0 < plateau(1.0) < 0.02


def test_clips_for_the_lora_are_of_the_same_world(tmp_path: Path):
    write_clips(tmp_path, 2)
    for index in range(2):
        frames = read_frames(tmp_path / f"clip-{index:05d}.mp4")
        drawn = render([data.clip_scene(index)])[0].numpy().astype(int)
        assert np.abs(np.stack([np.array(f) for f in frames]) - drawn).mean() < 3
        said = (tmp_path / f"clip-{index:05d}.txt").read_text().strip()
        assert data.clip_scene(index).prompt.actors[0].color in said
