"""The tiny world as a folder of video files with captions, as a training set comes."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from .render import FPS, render
from .train.data import clip_caption, clip_scene

# A constant quantizer and one thread: otherwise x264's choices, and so the files, differ from run
# to run.
_X264 = {"qp": "10", "threads": "1"}


def write_clips(folder: Path, count: int) -> None:
    """Write the training clips 0 to count - 1 as H.264 files, each beside its caption."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"clip-{index:05d}.mp4"
        caption = clip_caption(index, random.Random(index))
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
        write_mp4(render([clip_scene(index)])[0], path)


def write_mp4(frames: Tensor, path: Path) -> None:
    """Write uint8 frames [F, H, W, 3] of even sides as H.264, FPS a second."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", Fraction(FPS), options=_X264)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames.numpy():
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
