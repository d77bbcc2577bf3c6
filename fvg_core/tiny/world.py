"""Scenes of one or two coloured shapes that move: sampling, captions and rendering.

A scene is words (colour, shape, motion, ground) plus geometry (where each object starts). Captions
hold only the words, so that the geometry is what a text-to-video model has to invent.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SIZE = 64  # pixels, both sides
FRAMES = 17  # pixel frames: 5 latent frames of Wan's causal VAE
FPS = 8
SUPERSAMPLE = 2

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 40),
    "green": (40, 190, 70),
    "blue": (45, 85, 235),
    "yellow": (245, 215, 40),
    "purple": (150, 60, 200),
    "white": (240, 240, 240),
}
GROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (10, 10, 12),
    "gray": (112, 112, 118),
    "teal": (20, 100, 105),
    "brown": (95, 60, 35),
}
SHAPES = ("circle", "square", "triangle")
# Unit direction in image coordinates (y points down).
MOTIONS: dict[str, tuple[int, int]] = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
    "stays still": (0, 0),
}
POSITIONS = ("on the left", "on the right", "at the top", "at the bottom", "in the center")
RADIUS = (8.5, 11.5)  # half the side of an object's box, pixels
TRAVEL = (18.0, 30.0)  # distance covered by a moving object over the clip, pixels
GAP = 2.5  # free pixels kept between two objects at all times
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Thing:
    """One object. `x, y`: centre in pixels at frame 0; `radius`, `travel` in pixels."""

    color: str
    shape: str
    motion: str
    x: float
    y: float
    radius: float
    travel: float

    @property
    def words(self) -> tuple[str, str, str]:
        return self.color, self.shape, self.motion

    def center(self, u: float) -> tuple[float, float]:
        """Centre at `u` in [0, 1] of the clip."""
        dx, dy = MOTIONS[self.motion]
        return self.x + dx * self.travel * u, self.y + dy * self.travel * u

    @property
    def position(self) -> str:
        """The phrase of POSITIONS that fits the start best."""
        dx, dy = (self.x - SIZE / 2) / SIZE, (self.y - SIZE / 2) / SIZE
        if max(abs(dx), abs(dy)) < 0.1:
            return "in the center"
        if abs(dx) >= abs(dy):
            return "on the left" if dx < 0 else "on the right"
        return "at the top" if dy < 0 else "at the bottom"


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]
    ground: str

    @property
    def held_out(self) -> bool:
        """True for a tenth of all combinations of words, which no training clip shows."""
        key = repr(sorted(t.words for t in self.things)).encode()
        return hashlib.sha256(key).digest()[0] < 256 * _HELD_OUT_SHARE

    @property
    def caption(self) -> str:
        """What happens: 'a red circle moves right and ... on a gray background'."""
        return self._join(f"a {t.color} {t.shape} {t.motion}" for t in self.things)

    def first_frame_caption(self, placed: Sequence[bool]) -> str:
        """What stands at t = 0; `placed[i]` says whether object i gets its position phrase."""
        return self._join(
            f"a {t.color} {t.shape}" + (f" {t.position}" if p else "")
            for t, p in zip(self.things, placed, strict=True)
        )

    def _join(self, parts) -> str:
        return " and ".join(parts) + f" on a {self.ground} background"


def sample_scene(rng: random.Random, objects: int, held_out: bool | None = False) -> Scene:
    """A random scene of `objects` (1 or 2) things with different colours.

    held_out: False for training scenes, True for test scenes, None for either.
    """
    while True:
        colors = rng.sample(list(COLORS), objects)
        words = [(c, rng.choice(SHAPES), rng.choice(list(MOTIONS))) for c in colors]
        scene = Scene(tuple(_place(rng, *w) for w in words), rng.choice(list(GROUNDS)))
        if (held_out is None or scene.held_out == held_out) and _apart(scene.things):
            return scene


def _place(rng: random.Random, color: str, shape: str, motion: str) -> Thing:
    radius, travel = rng.uniform(*RADIUS), rng.uniform(*TRAVEL)
    dx, dy = MOTIONS[motion]
    lo, hi = radius + 1, SIZE - 1 - radius
    x = rng.uniform(lo + max(0, -dx) * travel, hi - max(0, dx) * travel)
    y = rng.uniform(lo + max(0, -dy) * travel, hi - max(0, dy) * travel)
    return Thing(color, shape, motion, x, y, radius, travel)


def _apart(things: Sequence[Thing]) -> bool:
    for i, a in enumerate(things):
        for b in things[i + 1 :]:
            for f in range(FRAMES):
                (ax, ay), (bx, by) = a.center(f / (FRAMES - 1)), b.center(f / (FRAMES - 1))
                if max(abs(ax - bx), abs(ay - by)) < a.radius + b.radius + GAP:
                    return False
    return True


def render(scenes: Sequence[Scene], frames: Sequence[int] = range(FRAMES)) -> Tensor:
    """Draw scenes. Returns uint8 pixels [B, F, SIZE, SIZE, 3] of the given frame indices."""
    n = SIZE * SUPERSAMPLE
    axis = (torch.arange(n) + 0.5) / SUPERSAMPLE
    u = torch.tensor([f / (FRAMES - 1) for f in frames])
    out = torch.empty(len(scenes), len(u), n, n, 3)
    for canvas, scene in zip(out, scenes, strict=True):
        canvas[:] = torch.tensor(GROUNDS[scene.ground], dtype=torch.float32)
        for t in scene.things:
            dx, dy = MOTIONS[t.motion]
            px = (axis[None, :] - (t.x + dx * t.travel * u)[:, None])[:, None, :]
            py = (axis[None, :] - (t.y + dy * t.travel * u)[:, None])[:, :, None]
            cover = (0.5 - _signed_distance(t.shape, px, py, t.radius) * SUPERSAMPLE).clamp(0, 1)
            canvas.lerp_(torch.tensor(COLORS[t.color], dtype=torch.float32), cover[..., None])
    out = out.view(*out.shape[:2], SIZE, SUPERSAMPLE, SIZE, SUPERSAMPLE, 3).mean((3, 5))
    return out.round().to(torch.uint8)


def _signed_distance(shape: str, px: Tensor, py: Tensor, r: float) -> Tensor:
    """Pixels to the outline (negative inside) of a shape whose box has half side r."""
    if shape == "circle":
        return (px.square() + py.square()).sqrt() - r
    if shape == "square":
        return torch.maximum(px.abs(), py.abs()) - r
    # Isosceles triangle, apex up: slanted sides through (0, -r) and (+-r, r), base at y = r.
    slant = (2 * px.abs() - py - r) / 5**0.5
    return torch.maximum(slant, py - r)
