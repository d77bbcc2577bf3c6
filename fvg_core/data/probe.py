"""What a clip is: its content hash, size and duration, read without decoding it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageOps

from ..errors import DataError

VIDEOS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".gif"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(frozen=True)
class Facts:
    """A clip. `width`, `height`: pixels as shown, upright and square; `frames`: in the file.

    `duration`: seconds from the first frame to the end of the last; None for a folder of frames,
    which has no speed of its own.
    """

    digest: str  # sha256 of the file, or of its frames in order
    width: int
    height: int
    frames: int
    duration: Fraction | None


def probe(path: Path) -> Facts:
    """The facts of a video file or a folder of frames. Raises DataError for what is unreadable."""
    return _probe_folder(path) if path.is_dir() else _probe_video(path)


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of the numbers in their names."""
    return sorted((p for p in folder.iterdir() if is_picture(p)), key=lambda p: _natural(p.name))


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def upright(path: Path) -> Image.Image:
    """A picture turned as its camera says. Raises OSError for one that cannot be read."""
    with Image.open(path) as picture:
        return ImageOps.exif_transpose(picture)


def _natural(name: str) -> list[tuple[int, int | str]]:
    """frame_2 before frame_10: runs of digits are compared as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _probe_folder(folder: Path) -> Facts:
    content, sizes = hashlib.sha256(), set()
    files = frame_files(folder)
    for path in files:
        try:
            content.update(_sha256(path).digest())
            sizes.add(upright(path).size)
        except OSError as error:
            raise DataError(f"unreadable: {path.name}: {error}") from error
    if len(sizes) > 1:
        raise DataError(f"its frames have {len(sizes)} different sizes; give all the same one")
    width, height = sizes.pop()
    return Facts(content.hexdigest(), width, height, len(files), None)


def _probe_video(path: Path) -> Facts:
    import av

    try:
        digest = _sha256(path).hexdigest()
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError("unreadable: there is no video in it")
            stream = container.streams.video[0]
            times, end = _timeline(container, stream)
        with av.open(str(path)) as container:
            first = next(container.decode(video=0), None)
            if first is None:
                raise DataError("unreadable: none of its frames can be decoded")
            width, height = shown_size(first, container.streams.video[0])
    except (OSError, av.FFmpegError) as error:
        raise DataError(f"unreadable: {error}") from error
    return Facts(digest, width, height, len(times), end - times[0])


def _timeline(container, stream) -> tuple[Sequence[Fraction], Fraction]:
    """When the frames of a stream are shown, and when the last one ends; seconds."""
    shown: list[tuple[int, int]] = []
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise DataError(f"unreadable: the file is cut off or damaged after {len(shown)} frames")
        if packet.pts is not None and not packet.is_discard:
            shown.append((packet.pts, packet.duration or 0))
    if not shown:
        raise DataError("unreadable: it holds no frames")
    shown.sort()
    times = [pts * stream.time_base for pts, _ in shown]
    last = shown[-1][1] * stream.time_base
    if not last and len(times) > 1:
        last = (times[-1] - times[0]) / (len(times) - 1)
    return times, times[-1] + last


def shown_size(frame, stream) -> tuple[int, int]:
    """Width and height of a decoded frame as players show it: square pixels, turned upright."""
    aspect = stream.sample_aspect_ratio or 1
    width, height = max(1, round(frame.width * aspect)), frame.height
    return (height, width) if quarter_turns(frame) % 2 else (width, height)


def quarter_turns(frame) -> int:
    """How often a decoded frame has to be turned by 90 degrees against the clock: 0 to 3."""
    return round(frame.rotation / 90) % 4


def _sha256(path: Path):
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content
