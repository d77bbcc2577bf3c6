"""A second reading of a tiny-world picture, for scoring candidates.

It shares nothing with the checker, so that the checker can judge what it chose: colours are told
by hue, not by distance to the palette, and shapes by how much of its box an object fills.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

HUES = {"red": 358, "green": 132, "blue": 227, "yellow": 51, "purple": 279}  # degrees
HUE_WIDTH = 25  # degrees to either side
LEAST_AREA = 0.012  # of the picture; the smallest drawn object covers 0.035
# Share of its box that each shape fills: 1, pi / 4 and 1 / 2; the limits lie between.
SQUARE, CIRCLE = 0.89, 0.64


def glance(pixels: np.ndarray) -> list[tuple[str, str]]:
    """Colour and shape of every object in uint8 pixels [H, W, 3]."""
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.float32)
    hue, saturation, value = hsv[..., 0] * (360 / 255), hsv[..., 1] / 255, hsv[..., 2] / 255
    bright = value > 0.55  # every ground is darker
    masks = {
        color: bright & (saturation > 0.5) & (abs((hue - h + 180) % 360 - 180) < HUE_WIDTH)
        for color, h in HUES.items()
    }
    masks["white"] = (value > 0.75) & (saturation < 0.25)
    return [(color, shape) for color, mask in masks.items() for shape in _shapes(mask)]


def _shapes(mask: np.ndarray) -> list[str]:
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    found = []
    for i, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == i
        if inside.sum() >= LEAST_AREA * mask.size:
            filled = inside.mean()
            found.append(
                "square" if filled > SQUARE else "circle" if filled > CIRCLE else "triangle"
            )
    return found
