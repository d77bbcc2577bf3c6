"""A second reading of a tiny-world picture, for scoring candidates.

It shares nothing with the checker, so that the checker can judge what it chose: colours are told
by hue, not by distance to the palette, and shapes by how much of its box an object fills. Lengths
are shares of the picture's side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

HUES = {"red": 358, "green": 132, "blue": 227, "yellow": 51, "purple": 279}  # degrees
HUE_WIDTH = 25  # degrees to either side
LEAST_AREA = 0.012  # of the picture; the smallest drawn object covers 0.035
# Share of its box that each shape fills: 1, pi / 4 and 1 / 2; the limits lie between.
SQUARE, CIRCLE = 0.89, 0.64
TRAVEL = 0.32  # how far an object goes over a clip, a little less than drawn ones on average
# How far two boxes may overlap on the way: their corners are mostly empty. Of 30 videos from drawn
# anchors three of the four with less came right, and one of the 26 with more.
OVERLAP = 0.05
_MOMENTS = np.linspace(0, 1, 9)

Kind = tuple[str, str]  # colour, shape
Step = tuple[int, int]  # of one object: right, down


class Seen(NamedTuple):
    """An object and its box: left, top, right, bottom."""

    color: str
    shape: str
    box: tuple[float, float, float, float]


def glance(pixels: np.ndarray) -> list[Seen]:
    """Every object in uint8 pixels [H, W, 3]."""
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.float32)
    hue, saturation, value = hsv[..., 0] * (360 / 255), hsv[..., 1] / 255, hsv[..., 2] / 255
    bright = value > 0.55  # every ground is darker
    masks = {
        color: bright & (saturation > 0.5) & (abs((hue - h + 180) % 360 - 180) < HUE_WIDTH)
        for color, h in HUES.items()
    }
    masks["white"] = (value > 0.75) & (saturation < 0.25)
    return [Seen(color, *found) for color, mask in masks.items() for found in _shapes(mask)]


def has_room(seen: Sequence[Seen], moves: Mapping[Kind, Step], kind: Kind) -> bool:
    """Whether the objects of a kind can go their way: inside the picture, and into nothing.

    moves: what way the objects of each kind go; others rest.
    """
    for u in _MOMENTS:
        boxes = [(o[:2], _moved(o.box, moves.get(o[:2], (0, 0)), u)) for o in seen]
        for i, (mine, box) in enumerate(boxes):
            others = [other for j, (_, other) in enumerate(boxes) if j != i]
            if mine == kind and (box.min() < 0 or box.max() > 1 or _touches(box, others)):
                return False
    return True


def _moved(box: Sequence[float], step: Step, u: float) -> np.ndarray:
    return np.array(box) + TRAVEL * u * np.array([*step, *step])


def _touches(box: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    return any(
        (np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]) > OVERLAP).all()
        for other in others
    )


def _shapes(mask: np.ndarray) -> list[tuple[str, tuple[float, float, float, float]]]:
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    height, width = mask.shape
    found = []
    for i, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == i
        if inside.sum() >= LEAST_AREA * mask.size:
            filled = inside.mean()
            shape = "square" if filled > SQUARE else "circle" if filled > CIRCLE else "triangle"
            y, x = box
            place = (x.start / width, y.start / height, x.stop / width, y.stop / height)
            found.append((shape, place))
    return found
