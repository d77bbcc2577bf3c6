"""What is to be seen in a video: blobs of the palette's colours, with shape, size and angle.

From pixels alone. A blob's shape is the outline that, turned and scaled to the blob's own area and
laid on its centre, overlaps it most. Lengths are shares of the picture's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from .shapes import distance
from .words import COLORS, SHAPES

HUES = {"red": 359, "yellow": 51, "green": 134, "blue": 227, "purple": 279}  # degrees
HUE_WIDTH = 26  # degrees to either side
GROUND = 38  # half a usual ground's brightest channel, 0 to 255: an outline lies half way up
LEAST_AREA, MOST_AREA = 0.0085, 0.2  # of an object, shares of the picture; drawn: 0.018 to 0.13
PERIOD = {"square": 0.25, "cross": 0.25, "triangle": 1 / 3}  # turns after which it looks the same
_GRID = 32  # samples across the square in which shapes are compared
_EXTENT = 0.95  # half side of that square in roots of the blob's area
_EDGE = 0.08  # width of an outline's blur in the same unit: about a pixel
_ANGLES = 12


@dataclass(frozen=True)
class Blob:
    """One object in one frame. x, y: centre; area: share of the picture; shape: of SHAPES, or ''
    where it fills more than MOST_AREA, as no object of this world does; angle: in turns; mask: its
    pixels [H, W]."""

    x: float
    y: float
    area: float
    shape: str
    angle: float
    mask: np.ndarray


Frame = dict[str, list[Blob]]  # by colour, largest first


def look(pixels: np.ndarray) -> list[Frame]:
    """The blobs in uint8 pixels [F, H, W, 3], H = W.

    In twice the resolution, so that an outline between two pixels is not lost.
    """
    fine = torch.from_numpy(np.ascontiguousarray(pixels)).movedim(-1, 1).float()
    fine = torch.nn.functional.interpolate(fine, scale_factor=2, mode="bilinear")
    masks = color_masks(fine.movedim(1, -1).numpy())
    return [
        {color: _blobs(masks[color][f]) for color in COLORS if masks[color][f].any()}
        for f in range(len(pixels))
    ]


def color_masks(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Which pixels [F, H, W] of float [F, H, W, 3], 0 to 255, show each colour."""
    top, low = pixels.max(-1), pixels.min(-1)
    spread = top - low
    r, g, b = np.moveaxis(pixels, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sector = np.select(
            [top == r, top == g], [(g - b) / spread, 2 + (b - r) / spread], 4 + (r - g) / spread
        )
        saturation = spread / top
    hue = np.nan_to_num(sector) * 60 % 360
    half = {name: max(rgb) / 2 + GROUND for name, rgb in COLORS.items()}
    masks = {
        name: (top >= half[name]) & (abs((hue - h + 180) % 360 - 180) < HUE_WIDTH)
        for name, h in HUES.items()
    }
    masks = {name: mask & (saturation > 0.35) for name, mask in masks.items()}
    return {**masks, "white": (top >= half["white"]) & (saturation < 0.25)}


def gap(a: Blob, b: Blob) -> float:
    """Smallest distance of the outlines of two blobs."""
    from scipy import ndimage

    away = ndimage.distance_transform_edt(~a.mask)
    return float(away[b.mask].min() - 1) / len(a.mask)


def _blobs(mask: np.ndarray) -> list[Blob]:
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    areas = np.bincount(parts.ravel()) / mask.size
    found = []
    for i in np.flatnonzero(areas[1:] >= LEAST_AREA) + 1:
        rows, columns = np.nonzero(parts == i)
        y, x = float(rows.mean()), float(columns.mean())
        fits = areas[i] <= MOST_AREA
        shape, angle = _shape(parts == i, x, y, len(rows)) if fits else ("", 0.0)
        place = ((x + 0.5) / len(mask), (y + 0.5) / len(mask))
        found.append(Blob(*place, float(areas[i]), shape, angle, parts == i))
    return sorted(found, key=lambda blob: -blob.area)


def _shape(inside: np.ndarray, x: float, y: float, area: float) -> tuple[str, float]:
    """The shape and angle that overlap a blob most (by IoU, of soft masks)."""
    from scipy import ndimage

    gx, gy = _grid()
    at = np.stack([y + gy * area**0.5, x + gx * area**0.5])
    sample = ndimage.map_coordinates(inside.astype(np.float32), at, order=1)
    names, angles, ideals = _templates()
    overlap = np.minimum(ideals, sample).sum(1) / np.maximum(ideals, sample).sum(1)
    best = int(overlap.argmax())
    return names[best], angles[best]


def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(_GRID) + 0.5) / _GRID * 2 * _EXTENT - _EXTENT
    return np.tile(axis, _GRID), np.repeat(axis, _GRID)


@cache
def _templates() -> tuple[list[str], list[float], np.ndarray]:
    """Shapes of area 1 in all angles that differ: names, angles, soft masks [T, grid points]."""
    fine = torch.linspace(-1.5, 1.5, 601)
    names, angles, masks = [], [], []
    gx, gy = (torch.from_numpy(v).float() for v in _grid())
    for shape in SHAPES:
        covered = distance(shape, fine[None, :], fine[:, None]) <= 0
        root = (covered.sum().item() * (3 / 600) ** 2) ** 0.5
        for step in range(_ANGLES if shape in PERIOD else 1):
            angle = step / _ANGLES * PERIOD.get(shape, 0)
            cos, sin = np.cos(2 * np.pi * angle), np.sin(2 * np.pi * angle)
            x, y = gx * root, gy * root
            away = distance(shape, cos * x + sin * y, cos * y - sin * x) / root
            names.append(shape)
            angles.append(angle)
            masks.append((0.5 - away / _EDGE).clamp(0, 1).numpy())
    return names, angles, np.stack(masks)
