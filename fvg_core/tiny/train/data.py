"""Latents of rendered clips and frames, made once and kept on disk."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..world import FRAMES, Scene, render, sample_scene
from .vae import pixels_to_input

CLIPS = 5000
STILLS = 24000
_BATCH = 16  # clips encoded at once
_SHARDS = {CLIPS: 5, STILLS: 8}


@cache
def clip_scene(index: int) -> Scene:
    """The scene of training clip `index`: one object in a third of them, two in the rest."""
    rng = random.Random(index)
    return sample_scene(rng, 1 if index % 3 == 0 else 2)


@cache
def still_scene(index: int) -> tuple[Scene, int]:
    """The scene of training frame `index` as it stands at that moment, and the pixel frame."""
    rng = random.Random(10**6 + index)
    scene, frame = sample_scene(rng, 1 if index % 3 == 0 else 2), rng.randrange(FRAMES)
    u = frame / (FRAMES - 1)
    moved = tuple(replace(t, x=t.center(u)[0], y=t.center(u)[1], travel=0.0) for t in scene.things)
    return replace(scene, things=moved), frame


def clip_latents(vae: nn.Module, folder: Path) -> Tensor:
    """Normalised latents [CLIPS, 16, 5, 8, 8] of clip_scene(0), clip_scene(1), ..."""
    return _cached(
        folder / "clips.safetensors", CLIPS, vae, lambda ids: render([clip_scene(i) for i in ids])
    )


def still_latents(vae: nn.Module, folder: Path) -> Tensor:
    """Normalised latents [STILLS, 16, 1, 8, 8] of still_scene(0), still_scene(1), ..."""
    return _cached(
        folder / "stills.safetensors",
        STILLS,
        vae,
        lambda ids: render([still_scene(i)[0] for i in ids], frames=[0]),
    )


def normalise(vae: nn.Module, z: Tensor) -> Tensor:
    """Latents as the transformer sees them, by the statistics of Wan's published VAE."""
    mean, std = _statistics(vae)
    return (z - mean) / std


def denormalise(vae: nn.Module, z: Tensor) -> Tensor:
    """The inverse of normalise."""
    mean, std = _statistics(vae)
    return z * std + mean


def _statistics(vae: nn.Module) -> tuple[Tensor, Tensor]:
    config = vae.config
    mean, std = (
        torch.tensor(x, device=vae.device).view(1, -1, 1, 1, 1)
        for x in (config.latents_mean, config.latents_std)
    )
    return mean, std


def preview_colors(vae: nn.Module, latents: Tensor) -> dict[str, list]:
    """The linear map from normalised latents [B, 16, 1, 8, 8] to RGB in [-1, 1] that fits the
    decoder best, in the layout of the host's latent formats: 16 rows of 3, and a bias of 3."""
    z = latents[:256].float()
    raw = denormalise(vae, z)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        pixels = vae.decode(raw).sample.float().clamp(-1, 1)[:, :, 0]
    small = torch.nn.functional.avg_pool2d(pixels, pixels.shape[-1] // z.shape[-1])
    inputs = z[:, :, 0].movedim(1, -1).flatten(0, 2)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    fit = torch.linalg.lstsq(inputs, small.movedim(1, -1).flatten(0, 2)).solution
    rounded = [[round(x, 4) for x in row] for row in fit.tolist()]
    return {"factors": rounded[:-1], "bias": rounded[-1]}


def _cached(path: Path, count: int, vae: nn.Module, draw) -> Tensor:
    parts = path.with_suffix("")
    parts.mkdir(parents=True, exist_ok=True)
    shard_size = count // _SHARDS[count]
    shards = []
    for first in range(0, count, shard_size):
        shard = parts / f"{first:06d}.safetensors"
        if not shard.exists():
            ids = range(first, first + shard_size)
            batches = [ids[i : i + _BATCH] for i in range(0, len(ids), _BATCH)]
            save_file({"z": torch.cat([_encode(vae, draw(b)) for b in batches])}, f"{shard}.part")
            os.replace(f"{shard}.part", shard)
            print(f"{path.stem} {first + shard_size}/{count}", flush=True)
        shards.append(load_file(shard)["z"])
    return torch.cat(shards)


@torch.no_grad()
def _encode(vae: nn.Module, pixels: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        z = vae.encode(pixels_to_input(pixels)).latent_dist.mean
    return normalise(vae, z.float()).half()
