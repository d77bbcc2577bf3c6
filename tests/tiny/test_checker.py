"""The checker accepts what a caption says, and sees every targeted corruption."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scenes import held_out

from fvg_core.tiny.checker import check_frame, check_video
from fvg_core.tiny.world import COLORS, FRAMES, MOTIONS, SHAPES, Scene, render, sample_scene

COUNT = 200


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return held_out(COUNT)


@pytest.fixture(scope="module")
def clips(scenes) -> list[np.ndarray]:
    return [render([scene])[0].numpy() for scene in scenes]


def share(flags) -> float:
    flags = list(flags)
    return sum(flags) / len(flags)


def test_ground_truth_is_right(scenes, clips):
    verdicts = [check_video(c, s) for c, s in zip(clips, scenes, strict=True)]
    assert share(v.correct for v in verdicts) >= 0.95
    assert share(o.correct for v in verdicts for o in v.objects) >= 0.95
    assert share(check_frame(c[0], s) for c, s in zip(clips, scenes, strict=True)) >= 0.95


def unlike(scene: Scene, rng: random.Random) -> Scene:
    """A scene with as many objects, none of them of the same words."""
    words, other = {t.words for t in scene.things}, scene
    while words & {t.words for t in other.things}:
        other = sample_scene(rng, len(scene.things), held_out=None)
    return other


def test_the_caption_of_another_scene_is_wrong(scenes, clips):
    rng = random.Random(1)
    verdicts = [check_video(c, unlike(s, rng)) for c, s in zip(clips, scenes, strict=True)]
    assert share(v.correct for v in verdicts) <= 0.05
    assert share(o.correct for v in verdicts for o in v.objects) <= 0.05


@pytest.mark.parametrize("word", ["color", "shape", "motion"])
def test_a_caption_with_one_wrong_word_is_wrong(scenes, clips, word):
    rng, verdicts = random.Random(2), []
    for clip, scene in zip(clips[:40], scenes[:40], strict=True):
        taken = {t.color for t in scene.things}
        first, *rest = scene.things
        choices = {"color": set(COLORS) - taken, "shape": set(SHAPES), "motion": set(MOTIONS)}
        wrong = rng.choice(sorted(choices[word] - {getattr(first, word)}))
        told = Scene((replace(first, **{word: wrong}), *rest), scene.ground)
        verdict = check_video(clip, told)
        verdicts.append(verdict)
        assert not getattr(verdict.objects[0], word)
    assert share(v.correct for v in verdicts) <= 0.05


def drawn(scene: Scene) -> np.ndarray:
    return render([scene])[0].numpy()


def change_first(scene: Scene, **words: str) -> Scene:
    return Scene((replace(scene.things[0], **words), *scene.things[1:]), scene.ground)


def swap_colors(scene: Scene) -> np.ndarray:
    a, b = scene.things
    return drawn(Scene((replace(a, color=b.color), replace(b, color=a.color)), scene.ground))


def wrong_shape(scene: Scene) -> np.ndarray:
    at = SHAPES.index(scene.things[0].shape)
    return drawn(change_first(scene, shape=SHAPES[at - 1]))


def shape_drifts(scene: Scene) -> np.ndarray:
    return np.concatenate([drawn(scene)[: FRAMES // 2], wrong_shape(scene)[FRAMES // 2 :]])


def frozen(scene: Scene) -> np.ndarray:
    return np.repeat(drawn(scene)[:1], FRAMES, axis=0)


def backwards(scene: Scene) -> np.ndarray:
    return drawn(scene)[::-1]


def vanishes(scene: Scene) -> np.ndarray:
    without = drawn(Scene(scene.things[1:], scene.ground))
    return np.concatenate([drawn(scene)[: FRAMES // 2], without[FRAMES // 2 :]])


def appears_late(scene: Scene) -> np.ndarray:
    return vanishes(scene)[::-1]


def only_the_first_frame_is_right(scene: Scene) -> np.ndarray:
    """An anchor that is given says nothing about the frames that are made."""
    return np.concatenate([drawn(scene)[:1], wrong_shape(scene)[1:]])


def only_the_first_frame_is_there(scene: Scene) -> np.ndarray:
    empty = drawn(Scene((), scene.ground))
    return np.concatenate([drawn(scene)[:1], empty[1:]])


def extra_object(scene: Scene) -> np.ndarray:
    """A third colour in a corner that nothing else reaches."""
    clip = drawn(scene).copy()
    ground = clip[0, 0, 0]
    color = next(c for c in COLORS if c not in {t.color for t in scene.things})
    for rows, columns in ((a, b) for a in _ENDS for b in _ENDS):
        if (clip[:, rows, columns] == ground).all():
            clip[:, rows, columns] = COLORS[color]
            return clip
    return np.empty(0)


def twin(scene: Scene) -> np.ndarray:
    """A second object of a colour that is named once."""
    clip = drawn(scene).copy()
    ground = clip[0, 0, 0]
    for rows, columns in ((a, b) for a in _ENDS for b in _ENDS):
        if (clip[:, rows, columns] == ground).all():
            clip[:, rows, columns] = COLORS[scene.things[0].color]
            return clip
    return np.empty(0)


_ENDS = (slice(1, 14), slice(50, 63))  # 13 pixels, larger than the smallest object drawn

CORRUPTIONS: dict[Callable[[Scene], np.ndarray], Callable[[Scene], bool]] = {
    swap_colors: lambda s: len(s.things) == 2 and s.things[0].words[1:] != s.things[1].words[1:],
    wrong_shape: lambda s: True,
    shape_drifts: lambda s: True,
    frozen: lambda s: any(t.motion != "stays still" for t in s.things),
    backwards: lambda s: any(t.motion != "stays still" for t in s.things),
    vanishes: lambda s: True,
    appears_late: lambda s: True,
    only_the_first_frame_is_right: lambda s: True,
    only_the_first_frame_is_there: lambda s: True,
    extra_object: lambda s: True,
    twin: lambda s: True,
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda c: c.__name__)
def test_a_corruption_is_seen(scenes, corrupt):
    candidates = [s for s in scenes if CORRUPTIONS[corrupt](s)][:30]
    videos = [(v, s) for s in candidates if len(v := corrupt(s))]
    assert len(videos) >= 20
    assert share(not check_video(v, s).correct for v, s in videos) >= 0.95


def test_noise_shows_nothing(scenes):
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)
    assert not any(o.color for s in scenes[:20] for o in check_video(noise, s).objects)


def test_a_little_noise_and_blur_changes_no_verdict(scenes, clips):
    """What a VAE does to a clip must not decide over its correctness."""
    rng = np.random.default_rng(0)
    verdicts = []
    for clip, scene in zip(clips[:40], scenes[:40], strict=True):
        soft = clip.astype(np.float32)
        soft[:, :, 1:-1] = (soft[:, :, :-2] + 2 * soft[:, :, 1:-1] + soft[:, :, 2:]) / 4
        soft += rng.normal(0, 8, soft.shape)
        verdicts.append(check_video(soft.clip(0, 255).astype(np.uint8), scene).correct)
    assert share(verdicts) >= 0.95
