"""The whole way from a folder to a dataset: the report, and what goes wrong on the way."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest
from clip_files import caption, grays, write_frames, write_video
from exact_encoders import TARGET, Encoders
from torch import Tensor

from fvg_core.backbones.wan import WAN21
from fvg_core.data import Prepared, Target, prepare
from fvg_core.errors import DataError, SizeError


def run(source: Path, cache: Path, encoders: Encoders, target=TARGET) -> Prepared:
    *_, last = prepare(
        source, cache, target, WAN21,
        encode_video=encoders.video, encode_text=encoders.text, key="models",
    )  # fmt: skip
    return last.prepared


def test_the_report_tells_everything(source: Path, tmp_path: Path):
    write_video(source / "short.mp4", grays(3, 32, 32))
    caption(source / "short.mp4", "too short")
    caption(write_frames(source / "late", grays(9, 32, 32)), "a later frame is broken")
    (source / "mute.mp4").write_bytes(b"never looked at")
    caption(write_video(source / "slow.mp4", grays(6, 16, 16), 4), "slow and small")
    found = run(source, tmp_path / "cache", Encoders())
    assert "6 samples from 6 clips, 8 frames a second." in found.report
    assert "32 x 32, 9 frames: 5" in found.report
    assert "1 clips have fewer frames a second than that" in found.report
    assert "1 clips are smaller than that" in found.report
    assert "13 texts and clips encoded." in found.report
    assert "2 left out:" in found.report
    assert "  short.mp4: too short: 3 frames at 8 a second, and 5 are needed" in found.report
    assert "  mute.mp4: no caption" in found.report
    assert (tmp_path / "cache" / "report.txt").read_text().strip() == found.report
    assert "0 texts and clips encoded." in run(source, tmp_path / "cache", Encoders()).report


def test_a_clip_that_fails_late_does_not_stop_the_rest(source: Path, tmp_path: Path):
    """Its header is fine, so the scan takes it; then decoding, or the VAE, cannot go on."""
    path = write_video(source / "e.mp4", grays(17, 32, 32))
    caption(path, "a broken frame")
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at + 200 : at + 1500] = b"\xff" * len(data[at + 200 : at + 1500])
    path.write_bytes(data)

    class Overflowing(Encoders):
        def video(self, pixels: Tensor) -> Tensor:
            latents = super().video(pixels)
            return latents / 0 if pixels.shape[2] != pixels.shape[1] else latents

    found = run(source, tmp_path / "cache", Overflowing())
    assert found.dataset.clips == ("a.mp4", "b.mp4", "d.mp4")
    assert "  e.mp4: unreadable: " in found.report
    assert "  c.mp4: the VAE makes numbers of it that are not finite" in found.report


@pytest.mark.skipif(sys.platform != "linux", reason="names there are UTF-8, or UTF-16")
def test_a_name_and_rows_that_are_not_utf8_do_not_stop_the_rest(source: Path, tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.mp4"))
    caption(write_video(path, grays(9, 32, 32)), "a good caption")
    rows = r'[{"video": "\ud83d.mp4", "prompt": "x"}]'
    (source / "metadata.json").write_text(rows)
    found = run(source, tmp_path / "cache", Encoders())
    assert found.dataset.clips == ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    assert "  caf\\udce9.mp4: its name is not UTF-8; rename it" in found.report
    assert r"\ud83d.mp4 is not a path" in found.report
    stored = (tmp_path / "cache" / "report.txt").read_text(encoding="utf-8")
    assert stored.strip() == found.report


def test_nothing_usable_names_the_reasons(source: Path, tmp_path: Path):
    with pytest.raises(DataError) as raised:
        run(source, tmp_path / "cache", Encoders(), Target(32, 32, 33, 8, bucketing=False))
    assert "no clip in" in str(raised.value)
    assert "  b.mp4: too short: 9 frames at 8 a second, and 33 are needed" in str(raised.value)

    class Broken(Encoders):
        def video(self, pixels: Tensor) -> Tensor:
            return super().video(pixels) * float("nan")

    with pytest.raises(DataError, match=r"none of the clips can be used.*a\.mp4: the VAE"):
        run(source, tmp_path / "cache", Broken())
    assert not (tmp_path / "cache" / "index.json").exists()


def test_a_bad_target_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(SizeError):
        run(tmp_path / "gone", tmp_path / "cache", Encoders(), Target(33, 32, 9, 8))


def test_steps_tell_the_progress_and_may_stop_anywhere(source: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    for stop in range(1, 16):
        encoders = Encoders()
        steps = prepare(
            source, cache, TARGET, WAN21,
            encode_video=encoders.video, encode_text=encoders.text, key="models",
        )  # fmt: skip
        for step in itertools.islice(steps, stop):
            assert 0 <= step.done <= step.total
        steps.close()
        assert encoders.clips + len(encoders.texts) <= 1 or stop > 7
    encoders = Encoders()
    assert len(run(source, cache, encoders).dataset) == 4
    assert (encoders.clips, encoders.texts) == (0, [])
