"""The exact checker: does a video show what its caption's words say?

Every pixel is assigned to the nearest palette colour; an object is the largest connected blob of
its colour. Its shape is the ideal silhouette, drawn into the blob's own box, that overlaps it most;
its motion is where the blob goes. Nothing is learned, nothing depends on the anchor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from .world import COLORS, GROUNDS, MOTIONS, RADIUS, SHAPES, Scene

MIN_AREA = 50  # pixels; the smallest drawn object, a triangle of radius 8.5, covers 145
MIN_SHIFT = 7.0  # pixels between first and last frame that count as motion; drawn: 18 or more
MAX_AREA = 4 * (RADIUS[1] + 2) ** 2
COLOR_TOLERANCE = 95.0  # Euclidean RGB distance beyond which a pixel belongs to no colour


@dataclass(frozen=True)
class Verdict:
    """What was found for one object of the caption."""

    color: bool
    shape: bool
    motion: bool

    @property
    def correct(self) -> bool:
        return self.color and self.shape and self.motion


@dataclass(frozen=True)
class VideoVerdict:
    objects: tuple[Verdict, ...]
    extra: bool  # an object that the caption does not name

    @property
    def correct(self) -> bool:
        return not self.extra and all(v.correct for v in self.objects)


@dataclass(frozen=True)
class _Blob:
    x: float
    y: float
    shape: str


def check_video(pixels: np.ndarray, scene: Scene) -> VideoVerdict:
    """Judge uint8 pixels [F, H, W, 3] against the words of a scene (its geometry is not used).

    The first frame is left out of the verdict on colour and shape: an anchor is given, not made.
    """
    labels = classify(pixels)
    blobs = {c: [_blobs(frame == i) for frame in labels] for i, c in enumerate(COLORS)}
    wanted = {t.color for t in scene.things}
    extra = any(_share(len(b) > (c in wanted) for b in blobs[c][1:]) >= 0.25 for c in COLORS)
    tracks = {c: [b[0] if b else None for b in blobs[c]] for c in wanted}
    return VideoVerdict(tuple(_judge(tracks[t.color], t.words) for t in scene.things), extra)


def check_frame(pixels: np.ndarray, scene: Scene) -> bool:
    """True if one uint8 frame [H, W, 3] shows every object's colour and shape, and no other."""
    labels = classify(pixels[None])[0]
    for i, color in enumerate(COLORS):
        found = [blob.shape for blob in _blobs(labels == i)]
        if found != [t.shape for t in scene.things if t.color == color]:
            return False
    return True


def classify(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels [F, H, W, 3] -> index into COLORS [F, H, W], or -1 for ground and mixtures."""
    palette = np.array([*COLORS.values(), *GROUNDS.values()], dtype=np.float32)
    distance = np.linalg.norm(pixels[..., None, :].astype(np.float32) - palette, axis=-1)
    nearest = distance.argmin(-1)
    far = distance.min(-1) > COLOR_TOLERANCE
    return np.where(far | (nearest >= len(COLORS)), -1, nearest)


def _blobs(mask: np.ndarray) -> list[_Blob]:
    """Connected blobs of an object's size, largest first."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    found = []
    for i in np.argsort(-sizes):
        if MIN_AREA <= sizes[i] <= MAX_AREA:
            rows, cols = np.nonzero(parts == i)
            box = parts[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] == i
            found.append(_Blob(float(cols.mean()), float(rows.mean()), _shape(box)))
    return found


def _shape(box: np.ndarray) -> str:
    """The shape whose silhouette overlaps a blob, cut out to its box, most (by IoU)."""
    overlap = {}
    for shape in SHAPES:
        ideal = _silhouette(shape, *box.shape)
        overlap[shape] = (box & ideal).sum() / (box | ideal).sum()
    return max(overlap, key=overlap.__getitem__)


@cache
def _silhouette(shape: str, height: int, width: int) -> np.ndarray:
    y = ((np.arange(height) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width) + 0.5) / width * 2 - 1)[None, :]
    if shape == "circle":
        return x**2 + y**2 <= 1
    if shape == "square":
        return np.ones((height, width), dtype=bool)
    return 2 * np.abs(x) <= y + 1


def _share(flags: Iterable[bool]) -> float:
    flags = list(flags)
    return sum(flags) / len(flags)


def _judge(track: Sequence[_Blob | None], words: tuple[str, str, str]) -> Verdict:
    _, shape, motion = words
    if _share(b is not None for b in track[1:]) < 0.8:
        return Verdict(False, False, False)
    late = [b for b in track[len(track) // 2 :] if b is not None]
    right = sum(b.shape == shape for b in late)
    return Verdict(True, right > len(late) / 2, _motion(track) == motion)


def _motion(track: Sequence[_Blob | None]) -> str | None:
    """The phrase of MOTIONS for a track, or None for a diagonal."""
    seen = [b for b in track if b is not None]
    dx, dy = seen[-1].x - seen[0].x, seen[-1].y - seen[0].y
    if max(abs(dx), abs(dy)) < MIN_SHIFT:
        return "stays still"
    if min(abs(dx), abs(dy)) > 0.6 * max(abs(dx), abs(dy)):
        return None
    along_x = abs(dx) > abs(dy)
    step = (int(np.sign(dx)), 0) if along_x else (0, int(np.sign(dy)))
    return next(m for m, d in MOTIONS.items() if d == step)
