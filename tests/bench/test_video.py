"""Frames out of real video files."""

from pathlib import Path

import av
import numpy as np
import pytest

from fvg_core.bench.video import read_frames, spread
from fvg_core.errors import HostError


def clip(path: Path, count: int = 9) -> Path:
    """`count` gray frames, brighter and brighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(count):
            pixels = np.full((64, 64, 3), 20 + 25 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    return path


def test_every_frame_in_order(tmp_path: Path) -> None:
    frames = read_frames(clip(tmp_path / "a.mp4"))
    levels = [np.asarray(frame).mean() for frame in frames]
    assert len(frames) == 9
    assert levels == pytest.approx([20 + 25 * i for i in range(9)], abs=6)


@pytest.mark.parametrize("content", [None, b"", b"not a video at all"])
def test_what_is_no_video_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HostError, match=r"broken\.mp4 is not a video"):
        read_frames(path)


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(8, 17, [0, 2, 5, 7, 9, 11, 14, 16]), (8, 3, [0, 1, 2]), (2, 5, [0, 4]), (8, 8, [*range(8)])],
)
def test_spread(count: int, total: int, expected: list[int]) -> None:
    assert spread(count, total) == expected
