"""Held-out scores of a transformer on the way: is its curve flat?

Sampled with diffusers' own modules, without a server: for watching a training, not for tables.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ...categories import CATEGORIES
from ...schedules import shift_sigma
from .. import captions
from ..render import FRAMES, SIZE
from ..scenes import Scene, sample_scene
from ..scorer import score
from .data import denormalise
from .umt5 import TextEncoder

SHIFT = 3.0
CFG = 3.0


def held_out(count: int) -> list[Scene]:
    """Held-out scenes, `count` of each category; not those of any table."""
    rng = random.Random(1234)
    return [sample_scene(rng, c, held_out=True) for c in CATEGORIES for _ in range(count)]


@torch.no_grad()
def sample(
    model: nn.Module, text: TextEncoder, prompts: list[str], frames: int, steps: int
) -> Tensor:
    """Normalised latents [B, 16, frames, H, W] by Euler's method with guidance, seed 0."""
    features, empty = text(prompts), text([""] * len(prompts))
    shape = (len(prompts), 16, frames, SIZE // 8, SIZE // 8)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(features)
    sigmas = shift_sigma(torch.linspace(1, 0, steps + 1), SHIFT).tolist()
    for now, then in itertools.pairwise(sigmas):
        t = torch.full((len(x),), now * 1000, device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            told, untold = (
                model(x, timestep=t, encoder_hidden_states=f, return_dict=False)[0].float()
                for f in (features, empty)
            )
        x = x + (then - now) * (untold + CFG * (told - untold))
    return x


@torch.no_grad()
def decode(vae: nn.Module, z: Tensor) -> Tensor:
    """uint8 pixels [B, F, H, W, 3] of normalised latents."""
    with torch.autocast(z.device.type, torch.bfloat16):
        pixels = vae.decode(denormalise(vae, z)).sample.float()
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 4, 1).cpu()


def clips(
    model: nn.Module, text: TextEncoder, vae: nn.Module, scenes: list[Scene], steps: int
) -> Iterator[np.ndarray]:
    """A video, uint8 [F, H, W, 3], of the prompt of each scene."""
    prompts = [captions.text(captions.prompt_spans(s.prompt)) for s in scenes]
    latent_frames = (FRAMES - 1) // 4 + 1
    for i in range(0, len(scenes), 8):
        z = sample(model, text, prompts[i : i + 8], latent_frames, steps)
        yield from decode(vae, z).numpy()


def scores(
    model: nn.Module, text: TextEncoder, vae: nn.Module, count: int, steps: int
) -> dict[str, float]:
    """Mean score by category over `count` held-out prompts each."""
    scenes = held_out(count)
    videos = clips(model, text, vae, scenes, steps)
    found = [score(video, s.prompt) for video, s in zip(videos, scenes, strict=True)]
    means = torch.tensor(found).view(len(CATEGORIES), count).mean(1).tolist()
    return dict(zip(CATEGORIES, means, strict=True))
