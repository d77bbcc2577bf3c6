"""The Wan-architecture VAE of the second edition, trained on clips that are drawn as it goes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ....categories import CATEGORIES
from ...train.loop import run
from ...train.vae import (
    build,
    init_as_pooling,
    match_statistics,
    objective,
    phase,
    pixels_to_input,
)
from ..render import FRAMES, SIZE, render
from ..scenes import Scene, sample_scene, track

# (steps, clip frames, side in pixels, batch): short and small first, since most of the work is the
# same everywhere; whole clips last. The batch is that of one of two processes.
CURRICULUM = ((700, 1, 32, 16), (2600, 5, 32, 5), (900, FRAMES, 32, 2), (350, FRAMES, SIZE, 1))
LR = 1.5e-3
# What moves fast is the hardest.
MOVING = ("motion_binding", "action_binding", "interaction")
SHOWN = (*CATEGORIES, *MOVING)
# Noise on the latents that the decoder is given, at most, as a share of their deviation: what a
# transformer makes is never exact (after the denoising tokenizer of arXiv 2507.15856).
NOISE = 0.6
OBJECT_WEIGHT = 3.0  # added for pixels of objects, which are brighter than any ground
STATISTICS = 32  # clips over which the latents are measured
_BRIGHT = 0.05  # of the brightest channel in [-1, 1]


def train(checkpoint: Path, device: torch.device, seconds: float) -> nn.Module | None:
    """Train or resume. Returns the VAE with the latent statistics of Wan's published one, or None
    if `seconds` were over before."""
    torch.manual_seed(0)
    vae = build()
    init_as_pooling(vae)
    vae.to(device)
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):  # a fifth faster on a CPU
            module.to(memory_format=torch.channels_last_3d)
    done = run(
        vae.parameters(),
        lambda step, gen: _loss(vae, step, gen),
        state={"vae": vae},
        steps=sum(steps for steps, *_ in CURRICULUM),
        lr=LR,
        checkpoint=checkpoint,
        seconds=seconds,
    )
    if not done:
        return None
    vae.eval().requires_grad_(False)
    rng = random.Random(1)
    scenes = [sample_scene(rng) for _ in range(STATISTICS)]
    match_statistics(vae, [pixels_to_input(render([s])).to(device) for s in scenes])
    return vae


def _loss(vae: nn.Module, step: int, gen: torch.Generator) -> Tensor:
    frames, side, batch = phase(CURRICULUM, step)
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    scenes = [sample_scene(rng, rng.choice(SHOWN), held_out=None) for _ in range(batch)]
    first = rng.randrange(FRAMES - frames + 1)
    pixels = render(scenes, range(first, first + frames), device=vae.device)
    if side < SIZE:
        moment = (first + frames // 2) / (FRAMES - 1)
        pixels = torch.stack(
            [_cut(p, s, moment, side, rng) for p, s in zip(pixels, scenes, strict=True)]
        )
    x = pixels_to_input(pixels)
    with torch.autocast(x.device.type, torch.bfloat16):
        posterior = vae.encode(x).latent_dist
        z = posterior.mean + posterior.std * _normal(posterior.mean, gen)
        extent = z.detach().float().std((0, 2, 3, 4), keepdim=True)
        share = NOISE * torch.rand((batch, 1, 1, 1, 1), generator=gen).to(x)
        y = vae.decode(z + share * extent * _normal(z, gen)).sample
    weight = 1 + OBJECT_WEIGHT * (x.amax(1, keepdim=True) > _BRIGHT)
    return objective(x, y, posterior, weight)


def _normal(like: Tensor, gen: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=gen).to(like)


def _cut(pixels: Tensor, scene: Scene, moment: float, side: int, rng: random.Random) -> Tensor:
    """A square of a clip [F, H, W, 3] about one of its objects."""
    centre = track(rng.choice(scene.bodies), np.array([moment]))[:2, 0] * SIZE
    x, y = (
        min(max(round(c + rng.uniform(-side, side) / 3 - side / 2), 0), SIZE - side)
        for c in centre.tolist()
    )
    return pixels[:, y : y + side, x : x + side]
