"""Scenes drawn: shaded objects on a textured ground, many clips at once, on any device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .scenes import Scene, changed, track
from .shapes import distance
from .words import COLORS, GROUNDS

SIZE = 64  # pixels, both sides
FRAMES = 17  # pixel frames: 5 latent frames of Wan's causal VAE
FPS = 8
_SHADE = 0.16  # how much brighter the lit side is than the middle, and darker the other
_TEXTURE = 0.16  # the same of the ground's pattern


def render(
    scenes: Sequence[Scene],
    frames: Sequence[int] = range(FRAMES),
    *,
    size: int = SIZE,
    length: int = FRAMES,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Draw the given frames of clips of `length` frames: uint8 [B, F, size, size, 3]."""
    u = np.array(frames) / max(length - 1, 1)
    axis = (torch.arange(size, device=device) + 0.5) / size
    canvas = _grounds(scenes, axis)[:, None].repeat(1, len(u), 1, 1, 1)
    for slot in range(max(len(s.bodies) for s in scenes)):
        by_shape = defaultdict(list)
        for i, scene in enumerate(scenes):
            if slot < len(scene.bodies):
                by_shape[scene.actor(scene.bodies[slot]).shape].append(i)
        for shape, rows in by_shape.items():
            canvas[rows] = _painted(canvas[rows], [scenes[i] for i in rows], slot, shape, u, axis)
    return canvas.movedim(2, -1).mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def _painted(
    canvas: Tensor, scenes: list[Scene], slot: int, shape: str, u: np.ndarray, axis: Tensor
) -> Tensor:
    """The canvas [B, F, 3, S, S] with one body of each scene, all of one shape, over it."""
    bodies = [s.bodies[slot] for s in scenes]
    tracks = torch.from_numpy(np.stack([track(b, u) for b in bodies])).to(axis)
    x, y, radius, angle = tracks.unbind(1)
    px = (axis - x[..., None])[:, :, None, :] / radius[..., None, None]
    py = (axis - y[..., None])[:, :, :, None] / radius[..., None, None]
    cos, sin = ((f(2 * torch.pi * angle))[..., None, None] for f in (torch.cos, torch.sin))
    away = distance(shape, cos * px + sin * py, cos * py - sin * px)
    cover = (0.5 - away * radius[..., None, None] * len(axis)).clamp_(0, 1)
    light = 1 - _SHADE * (px + py).clamp_(-1.4, 1.4)  # from the upper left
    colors = torch.from_numpy(np.stack([_colors(s, slot, u) for s in scenes])).to(axis)
    drawn = colors[..., None, None] * light[:, :, None]
    return canvas.lerp(drawn, cover[:, :, None])


def _colors(scene: Scene, slot: int, u: np.ndarray) -> np.ndarray:
    """The colour of a body [F, 3], 0 to 1."""
    body = scene.bodies[slot]
    actor = scene.actor(body)
    first = np.array(COLORS[actor.color]) / 255
    last = np.array(COLORS[actor.becomes or actor.color]) / 255
    return first + changed(body, u)[:, None] * (last - first)


def _grounds(scenes: Sequence[Scene], axis: Tensor) -> Tensor:
    """Textured grounds [B, 3, S, S], 0 to 1."""
    colors = torch.tensor([GROUNDS[s.prompt.ground] for s in scenes]).to(axis) / 255
    period, angle, phase = torch.tensor([s.weave for s in scenes]).to(axis).T[..., None, None]
    cos, sin = (2 * torch.pi * angle).cos(), (2 * torch.pi * angle).sin()
    x, y = axis[None, None, :], axis[None, :, None]
    a = (2 * torch.pi * ((cos * x + sin * y) / period + phase)).sin()
    b = (2 * torch.pi * ((cos * y - sin * x) / period + phase)).sin()
    hard = lambda wave: (4 * wave).tanh()
    patterns = {
        "plain": torch.zeros_like(a),
        "striped": hard(a),
        "checkered": hard(2 * a * b),
        "dotted": hard(a + b - 0.9),
    }
    texture = torch.stack([patterns[s.prompt.texture][i] for i, s in enumerate(scenes)])
    return colors[..., None, None] * (1 + _TEXTURE * texture[:, None])
