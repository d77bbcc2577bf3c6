"""Frames out of video files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..errors import HostError


def read_frames(path: Path) -> list[Image.Image]:
    """Every frame of a video file, in order."""
    import av

    try:
        with av.open(str(path)) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
    except (OSError, av.FFmpegError, IndexError) as error:
        raise HostError(f"{path} is not a video that can be read: {error}") from error
    if not frames:
        raise HostError(f"{path} holds no frames.")
    return frames


def spread(count: int, total: int) -> list[int]:
    """`count` indices spread evenly over `total` frames, first and last included."""
    if count >= total:
        return list(range(total))
    return [round(i * (total - 1) / (count - 1)) for i in range(count)]
