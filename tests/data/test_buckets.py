"""Sizes, lengths and pieces that the VAE accepts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fvg_core.backbones.wan import WAN21, WAN22_5B
from fvg_core.data import ClipFile, Facts, Listing, Target, plan
from fvg_core.data.buckets import nearest_size, sizes, starts
from fvg_core.errors import SizeError
from fvg_core.frames import check_size, latent_length

specs = st.sampled_from([WAN21, WAN22_5B])


def clip(width=640, height=480, duration: Fraction | None = Fraction(5), frames=120, name="a.mp4"):
    return ClipFile(Path(name), name, "a caption", Facts("digest", width, height, frames, duration))


def planned(target: Target, *clips: ClipFile, spec=WAN21):
    return plan(Listing(clips, ()), target, spec)


WIDE = Target(832, 480, 81, 16)


@given(
    spec=specs,
    cells=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    clip_size=st.tuples(st.integers(8, 4000), st.integers(8, 4000)),
)
def test_a_size_fits_the_vae_and_is_no_larger_than_the_target(spec, cells, clip_size):
    width, height = (n * spec.size_multiple for n in cells)
    w, h = nearest_size(*clip_size, width, height, spec.size_multiple)
    check_size(w, h, spec.size_multiple)
    assert w * h <= width * height
    assert w * h > width * height - w * spec.size_multiple  # one more row would be too much


@given(spec=specs, cells=st.tuples(st.integers(1, 60), st.integers(1, 60)), scale=st.integers(1, 9))
def test_a_clip_of_the_targets_shape_gets_the_target(spec, cells, scale):
    width, height = (n * spec.size_multiple for n in cells)
    found = nearest_size(width * scale, height * scale, width, height, spec.size_multiple)
    assert Fraction(*found) == Fraction(width, height)
    assert found == (width, height)


def test_no_other_size_is_nearer_in_shape():
    found = nearest_size(1080, 1920, 832, 480, 16)
    shape = Fraction(1080, 1920)
    near = lambda size: max(Fraction(*size) / shape, shape / Fraction(*size))
    assert near(found) == min(near(size) for size in sizes(832, 480, 16))
    assert found[0] < found[1]


@given(
    spec=specs,
    seconds=st.fractions(Fraction(1, 100), 20, max_denominator=1000),
    n=st.integers(1, 30),
    fps=st.sampled_from([8, 16, 23.976, 24]),
    windows=st.integers(1, 5),
)
def test_lengths_fit_the_vae_the_clip_and_the_target(spec, seconds, n, fps, windows):
    target = Target(320, 320, 1 + spec.stride_time * n, fps, windows=windows)
    made = planned(target, clip(duration=seconds), spec=spec)
    count = int(seconds * Fraction(fps).limit_denominator(1000) + Fraction(1, 2))
    assert bool(made.samples) == (count >= 1 + spec.stride_time)
    assert len(made.rejected) == (not made.samples)
    for sample in made.samples:
        length = sample.bucket.length
        assert latent_length(length, spec.stride_time) >= 2
        assert length <= target.length
        assert sample.start + length <= count
        assert length == target.length or length + spec.stride_time > count
    assert len(made.samples) <= windows


@given(count=st.integers(5, 400), windows=st.integers(1, 20), n=st.integers(1, 30), data=st.data())
def test_pieces_are_spread_evenly_from_the_first_frame_to_the_last(count, windows, n, data):
    length = 1 + 4 * n
    assume(length <= count)
    found = starts(count, length, windows, 4)
    assert found[0] == 0
    assert len(found) <= windows
    if len(found) > 1:
        assert found[-1] == count - length
        gaps = [b - a for a, b in itertools.pairwise(found)]
        assert max(gaps) - min(gaps) <= 1
        assert min(gaps) >= 4
    elif windows > 1:
        assert count - length < 4  # no room for another that differs by a latent frame


def test_a_clip_too_short_says_how_long_it_would_have_to_be():
    made = planned(WIDE, clip(duration=Fraction(1, 5)))
    (rejected,) = made.rejected
    assert rejected.path == "a.mp4"
    assert rejected.reason == "too short: 3 frames at 16 a second, and 5 are needed"


def test_without_bucketing_everything_has_one_size_and_length():
    fixed = replace(WIDE, bucketing=False)
    made = planned(fixed, clip(100, 900, Fraction(6)), clip(name="b.mp4", duration=Fraction(5)))
    assert [s.bucket for s in made.samples] == [(832, 480, 81)]
    assert made.rejected[0].path == "b.mp4"
    assert "80 frames at 16 a second, and 81 are needed" in made.rejected[0].reason


def test_a_folder_of_frames_has_one_for_each_frame_at_any_rate():
    for fps in (8, 16, 60):
        made = planned(replace(WIDE, fps=fps), clip(duration=None, frames=42))
        assert made.samples[0].bucket.length == 41


def test_samples_and_rejected_are_in_order_and_complete():
    clips = [clip(name=n, duration=Fraction(s)) for n, s in (("a", 9), ("b", 0), ("c", 9))]
    made = planned(replace(WIDE, windows=2), *clips)
    assert [(s.clip.name, s.start) for s in made.samples] == [
        ("a", 0), ("a", 63), ("c", 0), ("c", 63)
    ]  # fmt: skip
    assert [r.path for r in made.rejected] == ["b"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 830}, "width is 830"),
        ({"height": 8}, "height is 8"),
        ({"length": 80}, "length is 80"),
        ({"length": 1}, "that is a picture"),
    ],
)
def test_a_target_that_the_vae_cannot_hold(change, said):
    with pytest.raises(SizeError, match=said):
        planned(replace(WIDE, **change), clip())
