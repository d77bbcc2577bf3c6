"""Outlines of the shapes, for a radius of 1 and of about the same area (a ball's, pi)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

SQUARE = 0.886  # half side
TRIANGLE = 1.45  # centre to corner; one corner up
RING, HOLE = 1.2, 0.6  # radii
ARM, BEAM = 1.35, 0.36  # of a cross: half length and half width
# Centre to the farthest point, in any rotation.
REACH = {"ball": 1.0, "square": 1.253, "triangle": 1.45, "ring": 1.2, "cross": 1.398}


def distance(shape: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to the outline at points of any shape [...], negative inside (in corners a
    lower bound of it)."""
    if shape == "ball":
        return torch.hypot(x, y) - 1
    if shape == "square":
        return torch.maximum(x.abs(), y.abs()) - SQUARE
    if shape == "triangle":
        slanted = 0.75**0.5 * x.abs() - 0.5 * y
        return torch.maximum(slanted, y) - TRIANGLE / 2
    if shape == "ring":
        return (torch.hypot(x, y) - (RING + HOLE) / 2).abs() - (RING - HOLE) / 2
    long, wide = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return torch.maximum(long - ARM, wide - BEAM)


@cache
def touching(a: str, b: str, way: tuple[int, int]) -> float:
    """Distance of the centres at which two upright shapes of radius 1 touch, b lying from a in
    the direction `way`."""
    axis = torch.linspace(-1.5, 1.5, 121)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = distance(a, x, y) <= 0
    px, py = x[inside], y[inside]
    gap = lambda d: distance(b, px - way[0] * d, py - way[1] * d).min().item()
    near, far = 0.0, 3.0
    while far - near > 0.01:
        middle = (near + far) / 2
        near, far = (middle, far) if gap(middle) <= 0 else (near, middle)
    return far
