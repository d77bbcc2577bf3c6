"""Scenes obey their prompts, and captions say what is there."""

from __future__ import annotations

import itertools
import math
import random
import re

import numpy as np
import pytest
import torch
from contradictions import contradict
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.tiny import captions
from fvg_core.tiny.render import FRAMES, SIZE, presence, render
from fvg_core.tiny.scenes import GAP, Scene, sample_scene, track
from fvg_core.tiny.seeing import color_masks
from fvg_core.tiny.shapes import REACH, distance, touching
from fvg_core.tiny.train import data, dit
from fvg_core.tiny.words import (
    CATEGORIES,
    COLORS,
    GROUNDS,
    MEETINGS,
    MOST,
    SHAPES,
    SIDES,
    SPINNERS,
    WAYS,
    Prompt,
    sample_prompt,
)

SEEDS = st.integers(0, 2**32)
SCENES = st.builds(
    lambda seed, category: sample_scene(random.Random(seed), category, held_out=None),
    SEEDS,
    st.sampled_from(CATEGORIES),
)
few = settings(max_examples=20, deadline=None)
TIMES = np.linspace(0, 1, 33)


@few
@given(SCENES)
def test_objects_stay_inside_and_apart(scene: Scene):
    for body in scene.bodies:
        x, y, radius, _ = track(body, TIMES)
        far = radius * REACH[scene.actor(body).shape]
        assert min((x - far).min(), (y - far).min()) >= 0
        assert max((x + far).max(), (y + far).max()) <= 1
    if scene.prompt.category != "interaction":
        courses = [
            (track(b, TIMES), track(b, TIMES)[2] * REACH[scene.actor(b).shape])
            for b in scene.bodies
        ]
        for (a, far), (b, wide) in itertools.combinations(courses, 2):
            assert (np.hypot(*(a - b)[:2]) - far - wide).min() > GAP / 2  # looked at less often


@few
@given(SCENES)
def test_as_many_objects_as_the_prompt_says(scene: Scene):
    counts = [sum(b.actor == i for b in scene.bodies) for i in range(len(scene.prompt.actors))]
    assert counts == [a.count for a in scene.prompt.actors]
    assert len(scene.bodies) <= MOST
    assert all(a.shape in SPINNERS for a in scene.prompt.actors if a.does == "spins")


@few
@given(SCENES)
def test_objects_are_seen_and_nothing_else_is_bright(scene: Scene):
    (clip,) = render([scene])
    assert clip.shape == (FRAMES, SIZE, SIZE, 3)
    area = (clip.amax(-1) >= 140).float().mean((1, 2))
    radii = np.stack([track(b, np.linspace(0, 1, FRAMES))[2] for b in scene.bodies])
    drawn = torch.from_numpy(
        math.pi * (radii**2).sum(0)
    )  # the shapes' areas are 0.8 to 1.13 of a ball's
    assert (area > 0.6 * drawn - 0.01).all()
    assert (area < 1.3 * drawn + 0.01).all()


def test_chosen_frames_sizes_and_batches_draw_the_same_world():
    rng = random.Random(0)
    scenes = [sample_scene(rng, c) for c in CATEGORIES]
    whole = render(scenes)
    assert torch.equal(render(scenes, [0, 8, 16]), whole[:, [0, 8, 16]])
    for i in (0, 6):
        assert torch.equal(render(scenes[i : i + 1]), whole[i : i + 1])
    large = render(scenes[:2], [0], size=2 * SIZE).float().movedim(-1, 2)[:, 0]
    small = torch.nn.functional.avg_pool2d(large, 2)
    assert (small - whole[:2, 0].float().movedim(-1, 1)).abs().mean() < 2


def test_presence_is_how_much_of_each_cell_is_drawn_in_a_colour():
    rng = random.Random(0)
    scenes = [sample_scene(rng, c) for c in CATEGORIES]
    found = presence(scenes, 8, [0, FRAMES - 1])
    drawn = color_masks(render(scenes, [0, FRAMES - 1]).flatten(0, 1).numpy().astype(float))
    for i, color in enumerate(COLORS):
        seen = torch.from_numpy(drawn[color]).float()
        seen = torch.nn.functional.avg_pool2d(seen, SIZE // 8).unflatten(0, (len(scenes), 2))
        assert (found[:, :, i] - seen).abs().max() < 0.2, color  # soft outlines
        assert found[:, :, i].sum().item() == pytest.approx(seen.sum().item(), rel=0.12), color


def test_presence_is_of_every_shape_and_of_both_colours_of_what_turns():
    rng = random.Random(1)
    for category in CATEGORIES:
        scene = sample_scene(rng, category)
        shares = presence([scene], 8)[0].sum((2, 3))
        colors, shapes = shares.split([len(COLORS), len(SHAPES)], 1)
        by_shape = torch.zeros_like(shapes)
        for actor in scene.prompt.actors:
            own = [list(COLORS).index(c) for c in (actor.color, actor.becomes) if c]
            by_shape[:, SHAPES.index(actor.shape)] += colors[:, own].sum(1)
        torch.testing.assert_close(shapes, by_shape)


@pytest.mark.parametrize("a", SHAPES)
def test_shapes_touch_and_no_more(a: str):
    axis = torch.linspace(-2, 4, 301)
    for b, way in itertools.product(SHAPES, WAYS.values()):
        near = touching(a, b, way)
        x, y = (axis[None, :], axis[:, None]) if way[0] else (axis[:, None], axis[None, :])
        both = lambda d, b=b, way=way, x=x, y=y: (
            (distance(a, x, y) <= 0) & (distance(b, x - way[0] * d, y - way[1] * d) <= 0)
        )
        assert not both(near + 0.06).any()
        assert both(near - 0.1).any()


def test_a_tenth_of_all_pairs_is_kept_from_training():
    rng = random.Random(0)
    share = sum(sample_prompt(rng, held_out=None).held_out for _ in range(3000)) / 3000
    assert 0.07 < share < 0.16


def pairs(prompt: Prompt) -> set[frozenset]:
    """Kinds that are there together, also after one has turned."""
    kinds = [[(a.color, a.shape), (a.becomes or a.color, a.shape)] for a in prompt.actors]
    return {
        frozenset(pair)
        for a, b in itertools.combinations(kinds, 2)
        for pair in itertools.product(a, b)
    }


def test_held_out_prompts_show_two_kinds_that_training_never_shows_together():
    clips = [data.clip_scene(i) for i in range(4000)]
    stills = [data.still_scene(n)[0] for n in range(4000)]
    trained = set().union(*(pairs(scene.prompt) for scene in clips + stills))
    rng = random.Random(1)
    tested = [sample_prompt(rng, held_out=True) for _ in range(300)]
    assert all(pairs(prompt) - trained for prompt in tested)
    assert {p.category for p in tested} == set(CATEGORIES)


COLOR_WORDS = re.compile(rf"\b({'|'.join(COLORS)})\b")


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from(CATEGORIES))
def test_prompts_name_everything_they_ask_for(seed: int, category: str):
    rng = random.Random(seed)
    prompt = sample_prompt(rng, category, held_out=None)
    for wording in (None, rng):
        spans = captions.prompt_spans(prompt, wording)
        for i, actor in enumerate(prompt.actors):
            (span,) = [s for s in spans if s.owner == i]
            assert COLOR_WORDS.findall(span.text)[0] == actor.color
            assert not actor.becomes or actor.becomes in span.text
            assert any(noun in span.text for noun in captions.NOUNS[actor.shape])
            assert actor.count == 1 or captions.NUMBERS[actor.count] in span.text.split()
            if actor.does in captions.PHRASES and actor.does != "rests":
                assert any(p in span.text for p in captions.PHRASES[actor.does])
        said = captions.text(spans)
        assert "{" not in said
        assert said == said.strip()
    assert prompt.ground in captions.text(captions.prompt_spans(prompt))


@few
@given(SCENES)
def test_the_first_frame_caption_tells_of_the_start_only(scene: Scene):
    said = captions.text(captions.moment_spans(scene))
    body, _, _ = said.partition(" on a ")
    colors = COLOR_WORDS.findall(said.removesuffix(scene.prompt.ground))
    assert [c for c in colors if c in {a.color for a in scene.prompt.actors}]
    for actor in scene.prompt.actors:
        assert not actor.becomes or actor.becomes not in colors
    verbs = {w for ps in captions.PHRASES.values() for p in ps for w in p.split()[:1]}
    assert not verbs & set(body.split())


@few
@given(SEEDS)
def test_later_moments_tell_of_their_own_state(seed: int):
    scene = sample_scene(random.Random(seed), "dynamic_attr", held_out=None)
    first = scene.prompt.actors[0]
    early, late = (captions.text(captions.moment_spans(scene, u)) for u in (0.0, 1.0))
    if first.becomes:
        assert first.color in early.split()
        assert first.color not in late.split()
        assert first.becomes in late.split()
    else:
        small, large = (early, late) if first.does == "grows" else (late, early)
        assert "small" in small.split()
        assert "large" in large.split()


@settings(max_examples=60, deadline=None)
@given(SCENES, SEEDS, st.floats(0, 1))
def test_moments_say_truly_where_their_objects_are(scene: Scene, seed: int, u: float):
    spans = captions.moment_spans(scene, u, random.Random(seed))
    at = np.array([u])
    centers = {b.actor: track(b, at)[:2, 0] for b in reversed(scene.bodies)}
    if side := captions.side_said(spans):
        (dx, dy), (x, y) = SIDES[side], centers[0] - centers[1]
        assert x * dx + y * dy > 1.5 * abs(x * dy + y * dx)
    for span in spans:
        for place, ways in captions.POSITIONS.items():
            if span.owner is not None and any(f" {w}" in span.text for w in ways):
                x, y = centers[span.owner] - 0.5
                along = {"left": -x, "right": x, "top": -y, "bottom": y}
                reach = max(abs(x), abs(y))
                assert reach < 0.1 if place == "center" else along[place] >= reach


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from(CATEGORIES))
def test_a_contradiction_differs_in_what_its_category_is_about(seed: int, category: str):
    rng = random.Random(seed)
    prompt = sample_prompt(rng, category, held_out=None)
    other = contradict(prompt, rng)
    assert other.category == category
    assert (other.ground, other.texture) == (prompt.ground, prompt.texture)
    if prompt.relation in SIDES:  # "a left of b" is not "b right of a"
        mirrored = {a.kind for a in other.actors[:1]} != {a.kind for a in prompt.actors[:1]}
        assert (other.relation != prompt.relation) != mirrored
    elif prompt.relation in MEETINGS:
        assert other != prompt
        assert prompt.relation != "meets" or other.relation != "meets"
    else:
        assert set(other.actors) != set(prompt.actors)


def test_the_grounds_are_darker_than_all_objects():
    assert max(max(rgb) for rgb in GROUNDS.values()) * 1.16 < 110
    assert min(max(rgb) for rgb in COLORS.values()) * 0.77 > 140


def test_the_image_model_is_taught_to_count_in_half_of_its_stills():
    scenes = dit.RECIPES["image"].shards * data.SHARD["stills"] // data.MOMENTS
    asked = [data.still_scene(n)[0].prompt.category for n in range(0, scenes, 199)]
    counted = [category == "generative_numeracy" for category in asked]
    assert 0.4 < sum(counted) / len(counted) < 0.6
    assert set(asked[: len(asked) // 2]) == set(CATEGORIES)
