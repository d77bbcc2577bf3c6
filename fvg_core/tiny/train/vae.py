"""The Wan-architecture VAE, trained on clips that are drawn as it goes."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ...categories import CATEGORIES
from ...files import write_whole
from ..render import FRAMES, SIZE, render
from ..scenes import Scene, sample_scene, track
from .loop import cosine, run

# (steps, clip frames, side in pixels, batch): short and small first, since most of the work is the
# same everywhere; whole clips last. The batch is that of one of two processes.
TOGETHER = (
    (700, 1, 32, 16),
    (1100, 5, 32, 5),
    (2300, FRAMES, 32, 2),
    (500, FRAMES, SIZE, 1),
)
# Then the decoder learns alone: latents that were made before stay as they are.
ALONE = (
    (900, FRAMES, SIZE, 1),
    (700, FRAMES, 32, 4),
    (200, FRAMES, SIZE, 1),
)
CURRICULUM = TOGETHER + ALONE
DECODER_ALONE = sum(steps for steps, *_ in TOGETHER)
STEPS = sum(steps for steps, *_ in CURRICULUM)
BASE_DIM = 16
LR = 1.5e-3
KL_WEIGHT = 1.25e-4
# What moves fast is the hardest.
MOVING = ("motion_binding", "action_binding", "interaction")
SHOWN = (*CATEGORIES, *MOVING, "action_binding", "action_binding")
# Noise on the latents that the decoder is given, at most, as a share of their deviation: what a
# transformer makes is never exact (after the denoising tokenizer of arXiv 2507.15856).
NOISE = 0.5
OBJECT_WEIGHT = 3.0  # added for pixels of objects, which are brighter than any ground
STATISTICS = 32  # clips over which the latents are measured
_BRIGHT = 0.05  # of the brightest channel in [-1, 1]


def build() -> nn.Module:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(base_dim=BASE_DIM, z_dim=16)


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
        steps=STEPS,
        lr=LR,
        rate=_rate,
        checkpoint=checkpoint,
        seconds=seconds,
    )
    if not done:
        return None
    vae.eval().requires_grad_(False)
    _scale_latents(vae, checkpoint)
    return vae


def _scale_latents(vae: nn.Module, checkpoint: Path) -> None:
    """Give the latents of these weights their statistics once, and the same from then on:
    transformers learn from them, whatever scenes are drawn later."""
    kept = checkpoint.with_name(f"{checkpoint.stem}-{weights_digest(vae)[:12]}.safetensors")
    if kept.exists():
        vae.load_state_dict(load_file(kept))
        return
    rng = random.Random(1)
    scenes = [sample_scene(rng) for _ in range(STATISTICS)]
    match_statistics(vae, [pixels_to_input(render([s])).to(vae.device) for s in scenes])
    write_whole(kept, save({name: w.contiguous() for name, w in vae.state_dict().items()}))


def weights_digest(*modules: nn.Module) -> str:
    """SHA-256 (hex) of the weights and their names."""
    whole = hashlib.sha256()
    for module in modules:
        for name, weight in module.state_dict().items():
            whole.update(name.encode() + weight.cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


def _rate(share: float) -> float:
    """A falling wave for all of the VAE, and one of half its height for the decoder alone."""
    both = DECODER_ALONE / STEPS
    return cosine(share / both) if share < both else 0.5 * cosine((share - both) / (1 - both))


def pixels_to_input(pixels: Tensor) -> Tensor:
    """uint8 [B, F, H, W, 3] -> float [B, 3, F, H, W] in [-1, 1]."""
    x = pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last_3d)


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
        with torch.set_grad_enabled(step < DECODER_ALONE):
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


def objective(x: Tensor, y: Tensor, posterior: Any, weight: Tensor) -> Tensor:
    """Weighted L1 and L2 errors of the decoded y, and the posterior's distance from N(0, 1)."""
    error = y.float() - x
    kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    return (weight * (error.abs() + error.square())).mean() + KL_WEIGHT * kl


def phase(curriculum: Sequence[tuple[int, ...]], step: int) -> tuple[int, ...]:
    """What a step draws: all of a part of the curriculum but its number of steps."""
    ends = itertools.accumulate(steps for steps, *_ in curriculum)
    return next(part[1:] for part, end in zip(curriculum, ends, strict=True) if step < end)


def init_as_pooling(vae: nn.Module) -> None:
    """Start as an average pool and its nearest-neighbour inverse; default init stalls at 13 dB."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, WanResidualBlock

    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.mul_(0.5)
                taps = module.weight[:, :, -1]  # the last tap of a causal kernel is "now"
                centre = taps[..., taps.shape[-2] // 2, taps.shape[-1] // 2]
                centre.add_(torch.eye(*centre.shape))
        for module in vae.modules():
            if isinstance(module, WanResidualBlock):
                module.conv1.weight.copy_(nn.init.kaiming_uniform_(module.conv1.weight.clone()))
                module.conv2.weight.normal_(0, 0.02)
            elif isinstance(module, WanResample):
                _init_resample(module)


def _init_resample(module: nn.Module) -> None:
    conv = module.resample[1]
    conv.weight.mul_(0.5)
    eye = torch.eye(*conv.weight.shape[:2])
    if module.mode.startswith("down"):
        conv.weight[:, :, :2, :2] += eye[:, :, None, None] / 4
    else:
        conv.weight[:, :, 1, 1] += eye
    if module.mode == "downsample3d":
        taps = torch.tensor([0.0, 0.5, 0.5])
        mean = (torch.eye(module.dim)[..., None] * taps)[..., None, None]
        module.time_conv.weight.copy_(module.time_conv.weight * 0.5 + mean)
    elif module.mode == "upsample3d":
        both = torch.eye(module.dim).repeat(2, 1)
        module.time_conv.weight.mul_(0.5)
        module.time_conv.weight[:, :, -1, 0, 0] = both


@torch.no_grad()
def match_statistics(vae: nn.Module, clips: Sequence[Tensor]) -> None:
    """Fold an affine map into the 1x1 convolutions around the latent, so that over the given
    clips [B, 3, F, H, W] each channel has the mean and deviation that Wan's published VAE has
    (`latents_mean`, `latents_std`), by which every host normalises."""
    z = torch.cat([vae.encode(x).latent_dist.mean for x in clips])
    std, mean = torch.std_mean(z, dim=(0, 2, 3, 4))
    scale = std.new_tensor(vae.config.latents_std) / std
    shift = mean.new_tensor(vae.config.latents_mean) - mean * scale
    vae.quant_conv.weight[:16] *= scale[:, None, None, None, None]
    vae.quant_conv.bias[:16] = vae.quant_conv.bias[:16] * scale + shift
    w = vae.post_quant_conv.weight
    vae.post_quant_conv.bias -= (w[:, :, 0, 0, 0] * (shift / scale)).sum(1)
    w /= scale[None, :, None, None, None]
