"""Latents of drawn clips and frames, made once, in shards; more can be added at any time."""

from __future__ import annotations

import os
import random
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...categories import CATEGORIES
from .. import captions
from ..render import FRAMES, SIZE, presence, render
from ..scenes import Scene, sample_scene
from .loop import processes, wait
from .vae import pixels_to_input, weights_digest

MOMENTS = 4  # stills of one scene
SHARD = {"clips": 500, "stills": 2000}
CELLS = SIZE // 8  # latent positions a side
BATCH = {"clips": 10, "stills": 100}  # drawn and encoded at once
# From this scene on all stills are of numbers of things, which are hardest to draw.
_COUNTED_FROM = 10_000


@cache
def clip_scene(index: int) -> Scene:
    """The scene of training clip `index`; the seven categories take turns."""
    return sample_scene(random.Random(index), CATEGORIES[index % len(CATEGORIES)])


@cache
def still_scene(number: int) -> tuple[Scene, list[int]]:
    """A scene of which MOMENTS pixel frames are drawn: any, not only the first."""
    rng = random.Random(10**7 + number)
    turn = CATEGORIES[number % len(CATEGORIES)]
    scene = sample_scene(rng, turn if number < _COUNTED_FROM else "generative_numeracy")
    return scene, rng.sample(range(FRAMES), MOMENTS)


def clip_caption(index: int, rng: random.Random) -> str:
    return captions.text(captions.prompt_spans(clip_scene(index).prompt, rng))


def still_caption(index: int, rng: random.Random) -> str:
    """What stands there; in a quarter of the cases the raw video prompt instead."""
    scene, frames = still_scene(index // MOMENTS)
    if rng.random() < 0.25:
        return captions.text(captions.prompt_spans(scene.prompt, rng))
    return captions.text(captions.moment_spans(scene, frames[index % MOMENTS] / (FRAMES - 1), rng))


class Drawn(NamedTuple):
    """Samples of a kind. z: normalised fp16 latents [N, 16, F, H, W]; shown: how much of each
    latent position every colour and shape covers [N, F, 11, H, W], in 255ths."""

    z: Tensor
    shown: Tensor


def _clip_scenes(ids: range) -> list[Scene]:
    return [clip_scene(i) for i in ids]


def _still_scenes(ids: range) -> list[tuple[Scene, list[int]]]:
    return [still_scene(i) for i in range(ids.start // MOMENTS, ids.stop // MOMENTS)]


def _clips(ids: range, device: torch.device) -> tuple[Tensor, Tensor]:
    scenes = _clip_scenes(ids)
    covered = presence(scenes, CELLS)
    of_groups = covered[:, 1:].unflatten(1, (-1, 4)).mean(2)  # a latent frame is four of pixels
    return render(scenes, device=device), torch.cat([covered[:, :1], of_groups], 1)


def _stills(ids: range, device: torch.device) -> tuple[Tensor, Tensor]:
    shown = _still_scenes(ids)
    scenes = [scene for scene, _ in shown]
    at_moments = lambda clips: torch.cat(
        [c[f, None] for c, (_, f) in zip(clips, shown, strict=True)]
    )
    clips, covered = render(scenes, device=device), presence(scenes, CELLS)
    return at_moments(clips), at_moments(covered)


DRAW = {"clips": _clips, "stills": _stills}
SCENES = {"clips": _clip_scenes, "stills": _still_scenes}


def samples(kind: str, vae: nn.Module, folder: Path, shards: int, device: torch.device) -> Drawn:
    """The first `shards` shards of clips or stills. Those that are missing, or are of other scenes
    or another encoder, are made, each by one process of a group."""
    paths = [folder / kind / f"{shard:04d}.safetensors" for shard in range(shards)]
    rank, world = processes()
    encoder = weights_digest(vae.encoder, vae.quant_conv)
    for shard in range(rank, shards, world):
        ids = range(shard * SHARD[kind], (shard + 1) * SHARD[kind])
        source = {"scenes": _hash(SCENES[kind](ids)), "encoder": encoder}
        if _source(paths[shard]) != source:
            _make(kind, vae, paths[shard], ids, device, source)
    wait()
    parts = [Drawn(**load_file(path)) for path in paths]
    return Drawn(*(torch.cat(each) for each in zip(*parts, strict=True)))


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


def _hash(scenes: list[Any]) -> str:
    return sha256(repr(scenes).encode()).hexdigest()


def _source(path: Path) -> dict[str, str] | None:
    """What a shard was made from; None where there is none, or it does not say."""
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return file.metadata()


def _make(
    kind: str,
    vae: nn.Module,
    path: Path,
    ids: range,
    device: torch.device,
    source: dict[str, str],
) -> None:
    batches = []
    for i in ids[:: BATCH[kind]]:
        pixels, shown = DRAW[kind](range(i, i + BATCH[kind]), device)
        batches.append(Drawn(_encode(vae, pixels), (shown * 255).round().byte()))
    drawn = Drawn(*(torch.cat(each).contiguous() for each in zip(*batches, strict=True)))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(drawn._asdict(), f"{path}.part", source)
    os.replace(f"{path}.part", path)
    print(f"{kind} shard {path.stem}", flush=True)


@torch.no_grad()
def _encode(vae: nn.Module, pixels: Tensor) -> Tensor:
    with torch.autocast(pixels.device.type, torch.bfloat16):
        z = vae.encode(pixels_to_input(pixels)).latent_dist.mean
    return normalise(vae, z.float()).half().cpu().contiguous()
