"""Frames by time, size, shape and transparency, from real files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import clip_files
import numpy as np
import pytest
import torch
from clip_files import grays, numbers, turned, write_frames, write_video
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.data import decode, probe
from fvg_core.data.decode import cover, frame_count, frame_rate, resample
from fvg_core.errors import DataError

SIZE = {"width": 64, "height": 64}
rates = st.fractions(1, 120, max_denominator=1001) | st.sampled_from([8, 16, 24, 30]).map(Fraction)


@given(source=rates, target=rates, count=st.integers(1, 60), start=st.integers(0, 20))
def test_resampling_an_even_clip_is_the_closed_form(source, target, count, start):
    frames = [(i / source, i) for i in range(count)]
    wanted = [(start + i) / target for i in range(30)]
    # Nearest of i / source to t: round t * source, a half downwards; nothing follows the last.
    closed = [min(count - 1, -((1 - 2 * t * source) // 2)) for t in wanted]
    assert [*resample(frames, wanted)] == closed


@given(times=st.lists(st.fractions(0, 10, max_denominator=90_000), min_size=1, unique=True))
def test_resampling_takes_the_nearest_frame_of_an_uneven_clip(times):
    times.sort()
    targets = [Fraction(i, 7) for i in range(80)]
    for target, found in zip(targets, resample([(t, t) for t in times], targets), strict=True):
        assert abs(found - target) == min(abs(t - target) for t in times)


@given(rate=rates, count=st.integers(1, 500), jitter=st.fractions(-1, 1, max_denominator=1000))
def test_a_clip_has_as_many_frames_at_its_own_rate_as_it_has(rate, count, jitter):
    duration = count / rate + jitter / 1000 * Fraction(4, 10)  # Matroska rounds to milliseconds
    assert frame_count(duration, rate) == count


def test_a_frame_rate_is_exact():
    assert frame_rate(16) == 16
    assert frame_rate(29.97) == Fraction(2997, 100)


@pytest.mark.parametrize("suffix", [*clip_files.CODECS])
def test_every_frame_of_every_kind_of_file(tmp_path: Path, suffix: str):
    path = write_video(tmp_path / f"clip{suffix}", grays(17))
    facts = probe(path)
    assert (facts.width, facts.height, facts.frames) == (64, 64, 17)
    assert frame_count(facts.duration, Fraction(8)) == 17
    pixels = decode(path, **SIZE, length=17, fps=8)
    assert pixels.shape == (17, 64, 64, 3)
    assert pixels.dtype == torch.uint8
    assert numbers(pixels) == [*range(17)]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (24, 16, [0, 1, 3, 4, 6, 7, 9]),
        (30, 16, [0, 2, 4, 6, 7, 9, 11]),
        (8, 16, [0, 0, 1, 1, 2, 2, 3]),
        (Fraction(24000, 1001), 24, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_clips_of_other_rates(tmp_path: Path, suffix, source, target, expected):
    path = write_video(tmp_path / f"clip{suffix}", grays(20), source)
    found = numbers(decode(path, **SIZE, length=7, fps=target))
    # Where two frames are equally near, Matroska's milliseconds decide: one off is right too.
    near = [abs(a - b) <= (suffix == ".mkv") for a, b in zip(found, expected, strict=True)]
    assert all(near), found


def test_frames_are_chosen_by_time_and_not_by_number(tmp_path: Path):
    times = [Fraction(t, 100) for t in (0, 5, 10, 60, 65, 100, 130)]
    path = write_video(tmp_path / "uneven.mp4", grays(7), 100, times=times)
    # At 4 a second: 0, .25, .5, .75, 1.0, 1.25
    assert numbers(decode(path, **SIZE, length=6, fps=4)) == [0, 2, 3, 4, 5, 6]


def test_a_later_piece(tmp_path: Path):
    path = write_video(tmp_path / "clip.mp4", grays(40))
    assert numbers(decode(path, **SIZE, length=5, fps=8, start=30)) == [30, 31, 32, 33, 34]


def test_a_folder_of_frames_in_the_order_of_their_numbers(tmp_path: Path):
    folder = write_frames(tmp_path / "frames", grays(12), "frame_{}.png")
    assert probe(folder).duration is None
    assert numbers(decode(folder, **SIZE, length=9, fps=16, start=3)) == [*range(3, 12)]


def quarters(width: int, height: int) -> np.ndarray:
    """Red, green, blue and white quarters: which side is up, and how far something is cut."""
    picture = np.zeros((height, width, 3), np.uint8)
    y, x = height // 2, width // 2
    picture[:y, :x], picture[:y, x:] = (200, 20, 20), (20, 200, 20)
    picture[y:, :x], picture[y:, x:] = (20, 20, 200), (220, 220, 220)
    return picture


def corners(frame) -> list[str]:
    """Colours at the corners, from the top left in reading order."""
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    frame = np.asarray(frame)
    return [
        names.get(tuple((frame[y, x] > 128).astype(int)), str(frame[y, x]))
        for y in (4, -5)
        for x in (4, -5)
    ]


@pytest.mark.parametrize(("width", "height"), [(128, 64), (64, 128), (96, 64), (64, 64), (32, 48)])
def test_scaled_to_cover_and_cut_in_the_middle(tmp_path: Path, width, height):
    path = write_video(tmp_path / "clip.mp4", np.stack([quarters(width, height)] * 3))
    frame = decode(path, **SIZE, length=1, fps=8)[0]
    assert corners(frame) == ["red", "green", "blue", "white"]
    assert (frame[8, :30, 0] > 128).all()  # the seams are in the middle
    assert (frame[8, 34:, 1] > 128).all()
    assert (frame[:30, 8, 0] > 128).all()
    assert (frame[34:, 8, 2] > 128).all()


@given(st.tuples(*[st.integers(1, 4000)] * 4))
def test_cover_covers_and_keeps_the_shape(sizes):
    width, height, to_width, to_height = sizes
    w, h = cover(width, height, to_width, to_height)
    assert w >= to_width
    assert h >= to_height
    assert w == to_width or h == to_height
    assert abs(Fraction(w, 1) - Fraction(h * width, height)) <= max(1, Fraction(width, height))


def test_the_same_clip_always_gives_the_same_pixels(tmp_path: Path):
    path = write_video(tmp_path / "clip.mp4", np.stack([quarters(100, 70)] * 9))
    a, b = (decode(path, width=48, height=80, length=9, fps=8) for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), ["red", "green", "blue", "white"]),
        ((0, 1, -1, 0), ["blue", "red", "white", "green"]),  # a quarter turn with the clock
        ((-1, 0, 0, -1), ["white", "blue", "green", "red"]),
        ((0, -1, 1, 0), ["green", "white", "red", "blue"]),
    ],
)
def test_a_clip_of_a_camera_held_sideways_is_turned_upright(tmp_path: Path, matrix, expected):
    path = write_video(tmp_path / "clip.mp4", np.stack([quarters(96, 64)] * 3))
    facts = probe(turned(path, matrix))
    size = (96, 64) if matrix[0] else (64, 96)
    assert (facts.width, facts.height) == size
    frame = decode(path, width=size[0], height=size[1], length=1, fps=8)[0]
    assert corners(frame) == expected


def test_transparent_pixels_lie_over_black(tmp_path: Path):
    pixels = np.full((6, 64, 64, 4), 200, np.uint8)
    pixels[:, :, :32, 3] = 0
    pixels[:, :, 32:, 3] = 255
    pixels[:, 32:, 32:, 3] = 128
    movie = write_video(tmp_path / "clip.mov", pixels, codec="qtrle", format="argb")
    folder = write_frames(tmp_path / "frames", pixels)
    for path in (movie, folder):
        frame = decode(path, **SIZE, length=1, fps=8)[0].int()
        assert frame[:, :30].max() <= 1
        assert (frame[4:28, 36:60] - 200).abs().max() <= 1
        assert (frame[36:60, 36:60] - 100).abs().max() <= 2


def test_other_pixel_formats_and_colours(tmp_path: Path):
    for number, (codec, format) in enumerate(
        [("libx264", "yuv444p10le"), ("ffv1", "gray"), ("ffv1", "yuv422p"), ("ffv1", "bgr0")]
    ):
        path = write_video(tmp_path / f"{number}.mkv", grays(5), codec=codec, format=format)
        assert numbers(decode(path, **SIZE, length=5, fps=8)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video(tmp_path: Path, content: bytes):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match="unreadable"):
        probe(path)


def test_a_sound_is_no_video(tmp_path: Path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match="no video in it"):
        probe(path)


def test_a_file_that_was_cut_off(tmp_path: Path):
    path = write_video(tmp_path / "clip.mp4", grays(40), options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match="cut off or damaged after"):
        probe(path)
    with pytest.raises(DataError, match="unreadable"):
        decode(path, **SIZE, length=40, fps=8)


def test_a_folder_that_holds_too_few_frames(tmp_path: Path):
    folder = write_frames(tmp_path / "frames", grays(4))
    with pytest.raises(DataError, match="ends after 4 of 5 frames"):
        decode(folder, **SIZE, length=5, fps=8)


def test_frames_of_different_sizes(tmp_path: Path):
    folder = write_frames(tmp_path / "frames", grays(4))
    write_frames(folder, grays(1, 32, 32), "9.png")
    with pytest.raises(DataError, match="2 different sizes"):
        probe(folder)


def test_a_frame_that_is_no_picture(tmp_path: Path):
    folder = write_frames(tmp_path / "frames", grays(4))
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"unreadable: 2\.png"):
        probe(folder)
