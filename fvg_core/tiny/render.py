"""Scenes drawn: shaded objects on a textured ground, many clips at once, on any device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .scenes import Body, Scene, changed, track
from .shapes import distance
from .words import COLORS, GROUNDS, SHAPES

SIZE = 64  # pixels, both sides
FRAMES = 17  # pixel frames: 5 latent frames of Wan's causal VAE
FPS = 8
_SHADE = 0.16  # how much brighter the lit side is than the middle, and darker the other
_TEXTURE = 0.16  # the same of the ground's pattern
_PERIOD = 0.28  # of that pattern, as a share of the side


def render(
    scenes: Sequence[Scene],
    frames: Sequence[int] = range(FRAMES),
    *,
    size: int = SIZE,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Draw the given frames of clips: uint8 [B, F, size, size, 3]."""
    u = np.array(frames) / (FRAMES - 1)
    axis = (torch.arange(size, device=device) + 0.5) / size
    canvas = _grounds(scenes, axis)[:, None].repeat(1, len(u), 1, 1, 1)
    _paint(canvas, scenes, u, axis, _colors, _SHADE)
    return canvas.movedim(2, -1).mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def presence(scenes: Sequence[Scene], cells: int, frames: Sequence[int] = range(FRAMES)) -> Tensor:
    """How much of each cell of a grid every colour and every shape covers, in the order of COLORS
    and SHAPES: float [B, F, 11, cells, cells], 0 to 1."""
    size = 4 * cells
    axis = (torch.arange(size) + 0.5) / size
    u = np.array(frames) / (FRAMES - 1)
    canvas = torch.zeros(len(scenes), len(u), len(COLORS) + len(SHAPES), size, size)
    _paint(canvas, scenes, u, axis, _marks, 0.0)
    return torch.nn.functional.avg_pool2d(canvas.flatten(0, 1), 4).unflatten(0, canvas.shape[:2])


def _paint(
    canvas: Tensor,
    scenes: Sequence[Scene],
    u: np.ndarray,
    axis: Tensor,
    colors: Callable[[Scene, int, np.ndarray], np.ndarray],
    shade: float,
) -> None:
    """Draw the bodies of scenes over a canvas [B, F, C, S, S], each in colors(scene, body, u)
    [F, C]."""
    for slot in range(max(len(s.bodies) for s in scenes)):
        by_shape = defaultdict(list)
        for i, scene in enumerate(scenes):
            if slot < len(scene.bodies):
                by_shape[scene.actor(scene.bodies[slot]).shape].append(i)
        for shape, rows in by_shape.items():
            cover, light = _outline([scenes[i].bodies[slot] for i in rows], shape, u, axis, shade)
            fill = torch.from_numpy(np.stack([colors(scenes[i], slot, u) for i in rows])).to(axis)
            drawn = fill[..., None, None] * light[:, :, None]
            canvas[rows] = canvas[rows].lerp(drawn, cover[:, :, None])


def _outline(
    bodies: list[Body], shape: str, u: np.ndarray, axis: Tensor, shade: float
) -> tuple[Tensor, Tensor]:
    """How far bodies of one shape cover each pixel [B, F, S, S], and how lit they are there."""
    tracks = torch.from_numpy(np.stack([track(b, u) for b in bodies])).to(axis)
    x, y, radius, angle = tracks.unbind(1)
    px = (axis - x[..., None])[:, :, None, :] / radius[..., None, None]
    py = (axis - y[..., None])[:, :, :, None] / radius[..., None, None]
    cos, sin = ((f(2 * torch.pi * angle))[..., None, None] for f in (torch.cos, torch.sin))
    away = distance(shape, cos * px + sin * py, cos * py - sin * px)
    cover = (0.5 - away * radius[..., None, None] * len(axis)).clamp_(0, 1)
    return cover, 1 - shade * (px + py).clamp_(-1.4, 1.4)  # from the upper left


def _colors(scene: Scene, slot: int, u: np.ndarray) -> np.ndarray:
    """The colour of a body [F, 3], 0 to 1."""
    body = scene.bodies[slot]
    actor = scene.actor(body)
    first = np.array(COLORS[actor.color]) / 255
    last = np.array(COLORS[actor.becomes or actor.color]) / 255
    return first + changed(body, u)[:, None] * (last - first)


def _marks(scene: Scene, slot: int, u: np.ndarray) -> np.ndarray:
    """A body's colour among COLORS and its shape among SHAPES, as shares [F, 11]."""
    body = scene.bodies[slot]
    actor = scene.actor(body)
    marks = np.zeros((len(u), len(COLORS) + len(SHAPES)))
    late = changed(body, u) if actor.becomes else np.zeros(len(u))
    marks[:, list(COLORS).index(actor.color)] = 1 - late
    if actor.becomes:
        marks[:, list(COLORS).index(actor.becomes)] = late
    marks[:, len(COLORS) + SHAPES.index(actor.shape)] = 1
    return marks


def _grounds(scenes: Sequence[Scene], axis: Tensor) -> Tensor:
    """Textured grounds [B, 3, S, S], 0 to 1."""
    colors = torch.tensor([GROUNDS[s.prompt.ground] for s in scenes]).to(axis) / 255
    angle = torch.tensor([s.weave for s in scenes]).to(axis)[:, None, None]
    cos, sin = (2 * torch.pi * angle).cos(), (2 * torch.pi * angle).sin()
    x, y = axis[None, None, :], axis[None, :, None]
    a = (2 * torch.pi * ((cos * x + sin * y) / _PERIOD)).sin()
    b = (2 * torch.pi * ((cos * y - sin * x) / _PERIOD)).sin()
    hard = lambda wave: (4 * wave).tanh()
    patterns = {
        "plain": torch.zeros_like(a),
        "striped": hard(a),
        "checkered": hard(2 * a * b),
        "dotted": hard(a + b - 0.9),
    }
    texture = torch.stack([patterns[s.prompt.texture][i] for i, s in enumerate(scenes)])
    return colors[..., None, None] * (1 + _TEXTURE * texture[:, None])
