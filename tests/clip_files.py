"""Writes real clips for tests: flat frames whose gray tells their number, or any pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

CODECS = {
    ".mp4": ("libx264", "yuv420p"),
    ".mkv": ("libx264", "yuv420p"),
    ".mov": ("libx264", "yuv420p"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".gif": ("gif", "rgb8"),
}
LOW, STEP = 20, 4  # gray of frame 0, and what every frame adds


def grays(count: int, width: int = 64, height: int = 64) -> np.ndarray:
    """uint8 [count, height, width, 3]: frame i has the gray LOW + STEP * i."""
    levels = LOW + STEP * np.arange(count)
    assert levels[-1] < 256
    frames = np.broadcast_to(levels[:, None, None, None], (count, height, width, 3))
    return np.ascontiguousarray(frames.astype(np.uint8))


def numbers(pixels) -> list[int]:
    """Which frames of `grays` these are, from the middle of each."""
    middle = np.asarray(pixels)[:, 8:-8, 8:-8]
    return [round((frame.mean() - LOW) / STEP) for frame in middle.astype(float)]


def write_video(
    path: Path,
    frames: np.ndarray,
    fps: Fraction | int = 8,
    *,
    times: Sequence[Fraction] | None = None,
    codec: str | None = None,
    format: str | None = None,
    crf: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode uint8 frames [F, H, W, 3 or 4]. times: seconds of each frame, if not even."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec, pixels = codec or CODECS[path.suffix][0], format or CODECS[path.suffix][1]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if codec.startswith("lib"):
            stream.options = {"crf": str(crf), "b": "0"}
        clock = Fraction(1, 90_000)
        for number, array in enumerate(frames):
            kind = "rgba" if array.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=kind)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, frames: np.ndarray, name: str = "{}.png") -> Path:
    """A folder of pictures, numbered without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, array in enumerate(frames):
        Image.fromarray(array).save(folder / name.format(number))
    return folder


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Give an mp4 a display matrix [a, b, c, d], as cameras held sideways do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (n << 16 for n in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    return path


def caption(clip: Path, text: str) -> Path:
    """Write the caption beside a clip; gives the clip."""
    clip.with_name(f"{clip.name if clip.is_dir() else clip.stem}.txt").write_text(
        text, encoding="utf-8"
    )
    return clip
