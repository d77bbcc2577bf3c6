"""A rendered scene obeys its words; scenes for tests are kept from training."""

import itertools
import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.tiny.captions import MOTION_PHRASES, motion_spans, still_spans, text
from fvg_core.tiny.world import (
    COLORS,
    FRAMES,
    GROUNDS,
    MOTIONS,
    POSITIONS,
    SHAPES,
    SIZE,
    Scene,
    Thing,
    render,
    sample_scene,
)

AREA = {"circle": math.pi, "square": 4.0, "triangle": 2.0}  # of radius 1: pi r^2, (2r)^2, 2r 2r / 2
SCENES = st.builds(
    lambda seed, objects: sample_scene(random.Random(seed), objects, held_out=None),
    st.integers(0, 2**32),
    st.integers(1, 2),
)
few = settings(max_examples=25, deadline=None)


def shares(clip: torch.Tensor, scene: Scene, thing: Thing) -> torch.Tensor:
    """How much of every pixel [F, H, W] is the thing's colour, from ground 0 to colour 1."""
    ground = torch.tensor(GROUNDS[scene.ground], dtype=torch.float64)
    way = torch.tensor(COLORS[thing.color], dtype=torch.float64) - ground
    distance = clip.double() - ground
    share = (distance @ way) / way.square().sum()
    off = (distance - share[..., None] * way).norm(dim=-1)  # away from the line: another colour
    return torch.where(off < 12, share, 0).clamp(0, 1)


@few
@given(SCENES)
def test_every_frame_shows_every_object_whole(scene):
    (clip,) = render([scene])
    assert clip.shape == (FRAMES, SIZE, SIZE, 3)
    assert clip.dtype == torch.uint8
    for thing in scene.things:
        drawn = shares(clip, scene, thing)
        area = AREA[thing.shape] * thing.radius**2
        # All of it, in every frame: nothing cut by the border, nothing covered by another.
        assert (drawn > 0.5).sum((1, 2)).double().sub(area).abs().max() < 0.12 * area + 6


@few
@given(SCENES)
def test_the_border_is_ground(scene):
    (clip,) = render([scene])
    ground = torch.tensor(GROUNDS[scene.ground], dtype=torch.uint8)
    for edge in (clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]):
        assert (edge == ground).all()


@few
@given(SCENES)
def test_objects_go_where_their_words_say(scene):
    (clip,) = render([scene])
    axis = torch.arange(SIZE, dtype=torch.float64) + 0.5
    for thing in scene.things:
        drawn = shares(clip, scene, thing) > 0.5
        count = drawn.sum((1, 2))
        dx, dy = (
            float(centre[-1] - centre[0])
            for centre in (
                (drawn.sum(1) * axis).sum(1) / count,
                (drawn.sum(2) * axis).sum(1) / count,
            )
        )
        way = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
        x, y = way[thing.motion.split()[-1]]
        assert dx == pytest.approx(x * thing.travel, abs=1.2)
        assert dy == pytest.approx(y * thing.travel, abs=1.2)


@few
@given(SCENES)
def test_objects_never_touch(scene):
    (clip,) = render([scene])
    drawn = [shares(clip, scene, t) > 0.5 for t in scene.things]
    for a, b in itertools.combinations(drawn, 2):
        grown = torch.nn.functional.max_pool2d(a.double()[:, None], 3, 1, 1)[:, 0] > 0
        assert not (grown & b).any()


def test_chosen_frames_are_those_of_the_whole_clip():
    scene = sample_scene(random.Random(0), 2)
    assert torch.equal(render([scene], [0, 8, 16])[0], render([scene])[0][[0, 8, 16]])


def word_combinations() -> list[Scene]:
    words = list(itertools.product(COLORS, SHAPES, MOTIONS))
    thing = lambda w: Thing(*w, x=0, y=0, radius=9, travel=20)
    one = [Scene((thing(w),), "gray") for w in words]
    two = [
        Scene((thing(a), thing(b)), "gray")
        for a, b in itertools.combinations(words, 2)
        if a[0] != b[0]
    ]
    return one + two


def test_about_a_tenth_of_all_words_is_held_out():
    held = [scene.held_out for scene in word_combinations()]
    assert len(held) == 90 + 3375
    assert 0.08 < sum(held) / len(held) < 0.12


@pytest.mark.parametrize("wanted", [True, False])
def test_the_split_is_kept(wanted):
    rng = random.Random(0)
    for objects in (1, 2):
        assert all(sample_scene(rng, objects, wanted).held_out == wanted for _ in range(150))


@given(SCENES)
def test_the_split_looks_at_words_only(scene):
    turned = Scene(tuple(reversed(scene.things)), "teal")
    moved = Scene(tuple(Thing(*t.words, 1.0, 2.0, 9.0, 20.0) for t in scene.things), scene.ground)
    assert scene.held_out == turned.held_out == moved.held_out


def read(caption: str) -> tuple[set[tuple[str, str, str | None, str | None]], str | None]:
    """Objects (colour, shape, motion, position) and ground of a caption, by its words."""
    body, _, ground = caption.partition(" on a ")
    ground = ground.removesuffix(" background") or None
    for joiner in (" and ", " while ", ", "):
        body = body.replace(joiner, "|")
    phrases = {p: motion for motion, all_ in MOTION_PHRASES.items() for p in all_}
    found = set()
    for part in body.split("|"):
        article, color, shape, *rest = part.split()
        assert article == "a"
        rest = " ".join(rest)
        found.add((color, shape, phrases.get(rest), rest if rest in POSITIONS else None))
        assert not rest or rest in phrases or rest in POSITIONS
    return found, ground


@given(SCENES, st.integers(0, 2**32))
def test_captions_parse_back(scene, seed):
    words = {(*t.words, None) for t in scene.things}
    assert read(scene.caption) == (words, scene.ground)
    found, ground = read(text(motion_spans(scene, random.Random(seed))))
    assert found == words
    assert ground in (None, scene.ground)


@given(SCENES, st.integers(0, 2**32))
def test_first_frame_captions_parse_back_and_hold_no_motion(scene, seed):
    for caption in (
        scene.first_frame_caption([True] * len(scene.things)),
        text(still_spans(scene, random.Random(seed))),
    ):
        found, ground = read(caption)
        assert {f[:2] for f in found} == {(t.color, t.shape) for t in scene.things}
        assert all(motion is None for _, _, motion, _ in found)
        places = {(t.color, t.position) for t in scene.things}
        assert all(place is None or (color, place) in places for color, _, _, place in found)
        assert ground in (None, scene.ground)


@given(SCENES, st.integers(0, 2**32))
def test_spans_know_whose_words_they_are(scene, seed):
    for spans in (
        motion_spans(scene, random.Random(seed)),
        still_spans(scene, random.Random(seed)),
    ):
        owned = {s.owner: s.text for s in spans if s.owner is not None}
        assert owned.keys() == set(range(len(scene.things)))
        for i, thing in enumerate(scene.things):
            assert owned[i].startswith(f"a {thing.color} {thing.shape}")


@given(st.floats(12, 52), st.floats(12, 52))
def test_the_position_is_the_nearest_phrase(x, y):
    phrase = Thing("red", "circle", "stays still", x, y, 9, 20).position
    dx, dy = x - SIZE / 2, y - SIZE / 2
    if phrase == "in the center":
        assert max(abs(dx), abs(dy)) < 0.1 * SIZE
    else:
        toward = {"on the left": -dx, "on the right": dx, "at the top": -dy, "at the bottom": dy}
        assert toward[phrase] == max(toward.values())
