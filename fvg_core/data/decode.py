"""The pixels of a clip at the model's frame rate and at the size of its bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import DataError
from .probe import frame_files, quarter_turns, shown_size, upright

T = TypeVar("T")
GROUND = 0  # transparent pixels are laid over black, as players show them


def frame_rate(fps: float) -> Fraction:
    """A frame rate as the fraction that its decimals mean, so that times are exact."""
    return Fraction(fps).limit_denominator(1000)


def frame_count(duration: Fraction, fps: Fraction) -> int:
    """How many frames a clip of `duration` seconds has at `fps` frames a second."""
    return int(duration * fps + Fraction(1, 2))


def resample(frames: Iterable[tuple[Fraction, T]], targets: Sequence[Fraction]) -> Iterator[T]:
    """For every target time the frame that is nearest to it, of two the earlier one.

    frames: (time, frame) in order of time; targets: rising; all in seconds.
    """
    waiting, before = list(reversed(targets)), None
    for time, frame in frames:
        while waiting and before is not None and waiting[-1] - before[0] <= time - waiting[-1]:
            waiting.pop()
            yield before[1]
        if not waiting:
            return
        before = (time, frame)
    if before is not None:
        yield from (before[1] for _ in waiting)


def decode(
    path: Path, *, width: int, height: int, length: int, fps: float, start: int = 0
) -> Tensor:
    """Frames `start` to `start + length` of a clip at `fps`: uint8 [length, height, width, 3].

    Each frame is scaled to cover the size, and what sticks out is cut equally on both sides. A
    folder of frames has one frame for each at `fps`, whatever that is.
    Raises DataError for a clip that cannot be decoded so far.
    """
    if path.is_dir():
        frames = _folder_frames(path, width, height, start, length)
    else:
        rate = frame_rate(fps)
        targets = [(start + i) / rate for i in range(length)]
        frames = _video_frames(path, width, height, targets)
    out = torch.empty(length, height, width, 3, dtype=torch.uint8)
    done = 0
    for done, pixels in enumerate(frames, 1):
        out[done - 1] = torch.from_numpy(pixels)
    if done < length:
        raise DataError(f"unreadable: it ends after {start + done} of {start + length} frames")
    return out


def cover(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int]:
    """The smallest size of the same shape that covers another one, in pixels."""
    scale = max(Fraction(to_width, width), Fraction(to_height, height))
    return max(to_width, round(width * scale)), max(to_height, round(height * scale))


def _folder_frames(
    folder: Path, width: int, height: int, start: int, length: int
) -> Iterator[np.ndarray]:
    for path in frame_files(folder)[start : start + length]:
        try:
            picture = upright(path).convert("RGBA")
        except OSError as error:
            raise DataError(f"unreadable: {path.name}: {error}") from error
        flat = Image.new("RGBA", picture.size, (GROUND, GROUND, GROUND, 255))
        flat.alpha_composite(picture)
        size = cover(*flat.size, width, height)
        scaled = flat.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        yield _crop(np.array(scaled), width, height)


def _video_frames(
    path: Path, width: int, height: int, targets: Sequence[Fraction]
) -> Iterator[np.ndarray]:
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            chosen: tuple[object, np.ndarray] | None = None
            for frame in resample(_timed(container, stream), targets):
                if chosen is None or chosen[0] is not frame:  # one frame may serve several targets
                    chosen = (frame, _pixels(frame, stream, width, height))
                yield chosen[1]
    except (OSError, av.FFmpegError) as error:
        raise DataError(f"unreadable: {error}") from error


def _timed(container, stream) -> Iterator[tuple[Fraction, object]]:
    """The frames of a stream with their times in seconds from the first one."""
    first = None
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise DataError(f"unreadable: the frame at {float(frame.time or 0):.2f} s is damaged")
        if frame.pts is None:
            continue
        first = frame.pts if first is None else first
        yield (frame.pts - first) * frame.time_base, frame


def _pixels(frame, stream, width: int, height: int) -> np.ndarray:
    """A decoded frame as uint8 [height, width, 3], upright and cropped."""
    turns = quarter_turns(frame)
    size = cover(*shown_size(frame, stream), width, height)
    size = size[::-1] if turns % 2 else size
    if any(component.is_alpha for component in frame.format.components):
        frame = _flattened(frame)
    scaled = frame.reformat(*size, format="rgb24", interpolation="BICUBIC").to_ndarray()
    return _crop(np.rot90(scaled, turns), width, height)


def _flattened(frame):
    import av

    rgba = frame.to_ndarray(format="rgba").astype(np.uint16)
    alpha = rgba[..., 3:]
    flat = (rgba[..., :3] * alpha + GROUND * (255 - alpha) + 127) // 255
    return av.VideoFrame.from_ndarray(flat.astype(np.uint8), format="rgb24")


def _crop(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
