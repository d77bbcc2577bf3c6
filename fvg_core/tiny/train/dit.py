"""The two transformers of the second edition: text to video, and text to one frame of any time."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...flow import add_noise, uniform_time, velocity
from ...schedules import shift_sigma
from .data import clip_caption, still_caption
from .loop import plateau, run
from .umt5 import CONFIG, TextEncoder

_WAN = {
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": CONFIG["d_model"],
    "freq_dim": 128,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "ffn_dim": 512,
    "num_layers": 6,
}
TRAIN_SHIFT = 2.0  # shift of the training times: a little more weight near noise
PROMPT_DROPOUT = 0.1


@dataclass(frozen=True)
class Recipe:
    """steps: a plan that can be made longer later (see loop.plateau)."""

    config: dict
    caption: Callable[[int, random.Random], str]
    batch: int
    steps: int
    lr: float = 8e-4


RECIPES = {
    "video": Recipe({**_WAN, "patch_size": (1, 2, 2)}, clip_caption, batch=32, steps=30_000),
    # A token per latent position: 64 for a still instead of 16, which is what its shapes need.
    "image": Recipe({**_WAN, "patch_size": (1, 1, 1)}, still_caption, batch=32, steps=30_000),
}


def build(kind: str) -> nn.Module:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    model = WanTransformer3DModel(**RECIPES[kind].config)
    nn.init.zeros_(model.proj_out.weight)
    return model


def train(
    kind: str,
    latents: Callable[[], Tensor],
    text: TextEncoder,
    checkpoint: Path,
    device: torch.device,
    *,
    seconds: float,
    steps: int | None = None,
    batch: int | None = None,
) -> nn.Module:
    """Train or resume. Returns the averaged (EMA) weights, as far as they have come."""
    latents = cache(latents)  # not read where no step is left to do
    recipe = RECIPES[kind]
    model = build(kind).to(device)
    slow = copy.deepcopy(model).requires_grad_(False)
    run(
        model.parameters(),
        lambda step, gen: _loss(model, _batch(recipe, batch, latents(), text, gen), gen),
        state={"model": model},
        ema={"model": slow},
        steps=steps or recipe.steps,
        lr=recipe.lr,
        checkpoint=checkpoint,
        rate=plateau,
        seconds=seconds,
    )
    return slow.eval()


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor], gen: torch.Generator) -> Tensor:
    z0, features = batch
    even = (torch.arange(len(z0)) + uniform_time(len(z0), gen)) / len(z0)  # one in each n-th
    t = shift_sigma(even, TRAIN_SHIFT).to(z0)
    eps = torch.randn(z0.shape, generator=gen).to(z0)
    with torch.autocast(z0.device.type, torch.bfloat16), _attention(z0.device):
        x = add_noise(z0, eps, t)
        v = model(x, timestep=t * 1000, encoder_hidden_states=features, return_dict=False)[0]
    return (v.float() - velocity(z0, eps)).square().mean()


def _attention(device: torch.device) -> AbstractContextManager[None]:
    """Plain attention on a CPU, where the fused one's backward pass makes a step of these few
    tokens a fifth longer."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _batch(
    recipe: Recipe, batch: int | None, latents: Tensor, text: TextEncoder, gen: torch.Generator
) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(latents), (batch or recipe.batch,), generator=gen)
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    prompts = [
        "" if rng.random() < PROMPT_DROPOUT else recipe.caption(i, rng) for i in index.tolist()
    ]
    features = text(prompts)
    return latents[index].to(features), features
