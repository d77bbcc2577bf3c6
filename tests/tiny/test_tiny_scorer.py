"""The scorer accepts what a prompt asks for, from pixels alone, and sees what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from contradictions import contradict
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.categories import CATEGORIES
from fvg_core.tiny.render import FRAMES, render
from fvg_core.tiny.scenes import Body, Scene, sample_scene
from fvg_core.tiny.scorer import composition, reversals, score, steady
from fvg_core.tiny.seeing import look
from fvg_core.tiny.words import COLORS, GROUNDS, STATIC, TEXTURES, Actor, Prompt

COUNT = 8  # scenes of each category; 150 of each were looked at by hand


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Scene]]:
    rng = random.Random(2026)
    return {c: [sample_scene(rng, c, held_out=True) for _ in range(COUNT)] for c in CATEGORIES}


def drawn(scene: Scene) -> np.ndarray:
    return render([scene])[0].numpy()


@pytest.mark.parametrize("category", CATEGORIES)
def test_ground_truth_is_right_and_wrong_under_a_wrong_prompt(scenes, category):
    rng = random.Random(1)
    right, wrong = [], []
    for scene in scenes[category]:
        video = drawn(scene)
        right.append(score(video, scene.prompt))
        wrong.append(score(video, contradict(scene.prompt, rng)))
    assert np.mean(right) >= 0.99
    assert np.mean(wrong) <= 0.02


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_still_picture_is_composed_right_and_moves_wrong(scenes, category):
    for scene in scenes[category][:3]:
        still = np.repeat(drawn(scene)[:1], FRAMES, axis=0)
        assert composition(still, scene.prompt) == 1
        assert composition(recolored(scene), scene.prompt) == 0
        assert score(still, scene.prompt) == (category in STATIC)


def test_a_score_needs_no_certain_size(scenes):
    for category in CATEGORIES:
        scene = scenes[category][0]
        assert score(render([scene], size=96)[0].numpy(), scene.prompt) >= 0.99


def test_noise_and_blur_change_no_score(scenes):
    """What a VAE does to a clip must not decide over its score."""
    rng = np.random.default_rng(0)
    found = []
    for category in CATEGORIES:
        for scene in scenes[category][:3]:
            soft = drawn(scene).astype(np.float32)
            soft[:, :, 1:-1] = (soft[:, :, :-2] + 4 * soft[:, :, 1:-1] + soft[:, :, 2:]) / 6
            soft += rng.normal(0, 6, soft.shape)
            found.append(score(soft.clip(0, 255).astype(np.uint8), scene.prompt))
    assert np.mean(found) >= 0.95


def recolored(scene: Scene) -> np.ndarray:
    """The first actor in a colour that nobody has."""
    known = {c for a in scene.prompt.actors for c in (a.color, a.becomes)}
    color = next(c for c in COLORS if c not in known)
    first, *rest = scene.prompt.actors
    return drawn(replace(scene, prompt=replace(scene.prompt, actors=(_in(first, color), *rest))))


def _in(actor, color):
    return replace(actor, color=color, becomes=color if actor.becomes else "")


def frozen(scene: Scene) -> np.ndarray:
    return np.repeat(drawn(scene)[:1], FRAMES, axis=0)


def backwards(scene: Scene) -> np.ndarray:
    return drawn(scene)[::-1]


def vanishing(scene: Scene) -> np.ndarray:
    """From the middle on without its first object."""
    without = drawn(replace(scene, bodies=scene.bodies[1:] or (_speck(scene),)))
    return np.concatenate([drawn(scene)[: FRAMES // 2], without[FRAMES // 2 :]])


def _speck(scene: Scene) -> Body:
    return replace(scene.bodies[0], radius=1e-3)


def only_the_first_frame_is_right(scene: Scene) -> np.ndarray:
    """An anchor that is given says nothing about the frames that are made."""
    return np.concatenate([drawn(scene)[:1], recolored(scene)[1:]])


def another_anchor(scene: Scene) -> np.ndarray:
    """The given frame is thrown away: everything stands elsewhere in the next one."""
    return np.concatenate([drawn(scene)[:1, ::-1, ::-1], drawn(scene)[1:]])


def a_cut(scene: Scene) -> np.ndarray:
    middle = FRAMES // 2
    return np.concatenate([drawn(scene)[:middle], drawn(scene)[middle:, ::-1, ::-1]])


CORRUPTIONS: dict[Callable[[Scene], np.ndarray], set[str]] = {
    recolored: set(CATEGORIES),
    frozen: set(CATEGORIES) - set(STATIC),
    backwards: {"dynamic_attr", "motion_binding", "interaction"},
    vanishing: set(CATEGORIES),
    only_the_first_frame_is_right: set(CATEGORIES),
    another_anchor: set(CATEGORIES),
    a_cut: set(CATEGORIES),
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda c: c.__name__)
def test_a_corruption_is_seen(scenes, corrupt):
    chosen = [s for c in CORRUPTIONS[corrupt] for s in scenes[c][:2]]
    assert np.mean([score(corrupt(s), s.prompt) for s in chosen]) <= 0.02


def test_a_stranger_is_seen(scenes):
    """A square of a colour that is not named, where nothing else is."""
    seen = 0
    for scene in (s for c in CATEGORIES for s in scenes[c][:2]):
        clip, named = drawn(scene).copy(), {a.color for a in scene.prompt.actors}
        named |= {a.becomes for a in scene.prompt.actors}
        color = next(c for c in COLORS if c not in named)
        corners = [
            (r, c) for r in (slice(1, 10), slice(54, 63)) for c in (slice(1, 10), slice(54, 63))
        ]
        free = [at for at in corners if clip[:, at[0], at[1]].max() < 140]
        if free:
            clip[:, free[0][0], free[0][1]] = COLORS[color]
            seen += 1
            assert score(clip, scene.prompt) == 0
    assert seen >= 7


def test_one_of_four_in_another_shape_is_wrong(scenes):
    four = [s for s in scenes["generative_numeracy"] if max(a.count for a in s.prompt.actors) > 2]
    for scene in four:
        many = max(range(2), key=lambda i: scene.prompt.actors[i].count)
        actor = scene.prompt.actors[many]
        odd = replace(actor, shape="cross" if actor.shape != "cross" else "ball", count=1)
        body = next(b for b in scene.bodies if b.actor == many)
        actors = (*scene.prompt.actors, odd)
        odd_body = replace(body, actor=len(actors) - 1)
        bodies = tuple(odd_body if b is body else b for b in scene.bodies)
        video = drawn(replace(scene, prompt=replace(scene.prompt, actors=actors), bodies=bodies))
        assert score(video, scene.prompt) == 0
    assert four


def _one(does: str, *path: tuple[float, float, float], sizes=(0.1, 0.1)) -> float:
    """The score of a red ball on a path of (time, x, y), asked for what it does."""
    prompt = Prompt("action_binding", (Actor("red", "ball", does),), "gray", "plain")
    body = Body(0, sizes[0], path, growth=sizes[1] / sizes[0])
    return score(drawn(Scene(prompt, (body,), 0.0)), prompt)


def test_what_grows_stays_where_it_is():
    sizes = (0.08, 0.16)
    assert _one("grows", (0.0, 0.5, 0.5), sizes=sizes) == 1
    assert _one("grows", (0.0, 0.5, 0.5), (1.0, 0.55, 0.5), sizes=sizes) == 1
    assert _one("grows", (0.0, 0.25, 0.5), (1.0, 0.75, 0.5), sizes=sizes) == 0


def test_a_way_may_be_slow_at_first():
    assert _one("right", (0.0, 0.3, 0.5), (0.5, 0.38, 0.5), (1.0, 0.7, 0.5)) == 1
    assert _one("right", (0.0, 0.3, 0.5), (0.5, 0.3, 0.66), (1.0, 0.7, 0.66)) == 0
    assert _one("right", (0.0, 0.3, 0.5), (0.5, 0.45, 0.5), (1.0, 0.35, 0.5)) == 0


@pytest.mark.parametrize(("radius", "right"), [(0.14, 1), (0.27, 0), (0.36, 0)])
def test_what_is_too_large_is_a_wrong_object(scenes, radius, right):
    """Named or not, round or not: no object of this world fills a fifth of the picture."""
    ball, square = Actor("red", "ball", "drifts"), Actor("blue", "square", "drifts")
    named = Prompt("consistent_attr", (ball, square), "gray", "plain")
    bodies = Body(0, radius, ((0.0, 0.4, 0.4),)), Body(1, 0.1, ((0.0, 0.87, 0.87),))
    video = drawn(Scene(named, bodies, scenes[CATEGORIES[0]][0].weave))
    alone = replace(named, actors=(square,))
    assert (score(video, named), composition(video, named)) == (right, right)
    assert (score(video, alone), composition(video, alone)) == (0, 0)


@pytest.mark.parametrize("ground", GROUNDS)
def test_no_ground_is_an_object(scenes, ground):
    for texture in TEXTURES:
        scene = scenes[CATEGORIES[0]][0]
        empty = replace(
            scene,
            prompt=replace(scene.prompt, ground=ground, texture=texture),
            bodies=(_speck(scene),),
        )
        assert not any(look(drawn(empty)))


def test_noise_shows_nothing(scenes):
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)
    assert all(score(noise, scenes[c][0].prompt) == 0 for c in CATEGORIES)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_blobs_are_where_the_objects_are(seed: int):
    scene = sample_scene(random.Random(seed), "generative_numeracy", held_out=None)
    (frame,) = look(render([scene], [0])[0].numpy())
    seen = [(b.x, b.y, color, b.shape) for color, bs in frame.items() for b in bs]
    assert len(seen) == len(scene.bodies)
    for body in scene.bodies:
        _, x, y = body.path[0]
        nearest = min(seen, key=lambda s: np.hypot(s[0] - x, s[1] - y))
        assert nearest[2:] == scene.actor(body).kind
        assert np.hypot(nearest[0] - x, nearest[1] - y) < 0.02


@given(st.lists(st.booleans(), min_size=1))
def test_steady_is_a_share_stretched(flags):
    share = sum(flags) / len(flags)
    assert steady(flags) == pytest.approx(min(max((share - 0.5) / 0.4, 0), 1))


@given(st.integers(0, 5), st.floats(0.1, 10), st.floats(-5, 5))
def test_reversals_are_counted_at_any_scale(count, scale, offset):
    course = [0.0]
    for i in range(count + 1):
        course += list(np.linspace(course[-1], 1 - i % 2, 5)[1:])
    assert reversals(np.array(course) * scale + offset) == count
