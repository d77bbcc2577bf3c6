"""The two transformers: text to video, and text to one frame of any time."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...flow import add_noise, uniform_time, velocity
from ...schedules import shift_sigma
from ..words import COLORS, SHAPES
from .data import Drawn, clip_caption, still_caption
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
TRAIN_SHIFT = 3.0  # shift of the training times: more weight near noise, where scenes are laid out
# A third of the way through the blocks a linear head says of every token what covers its place,
# as REPA (arXiv 2410.06940) holds the same features to those of a pretrained eye.
SEEING_BLOCK = 2
SEEING_WEIGHT = 1.0
PROMPT_DROPOUT = 0.1


@dataclass(frozen=True)
class Recipe:
    """drawn: what it learns from, of data.DRAW, in so many shards; steps: a plan that can be made
    longer later (see loop.plateau)."""

    config: dict
    drawn: str
    shards: int
    caption: Callable[[int, random.Random], str]
    batch: int
    steps: int
    lr: float = 4e-3


RECIPES = {
    "video": Recipe(
        {**_WAN, "patch_size": (1, 2, 2)}, "clips", 15, clip_caption, batch=32, steps=45_000
    ),
    # A token per latent position: 64 for a still instead of 16, which is what its shapes need.
    "image": Recipe(
        {**_WAN, "patch_size": (1, 1, 1)}, "stills", 36, still_caption, batch=32, steps=46_000
    ),
}


def build(kind: str) -> nn.Module:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    model = WanTransformer3DModel(**RECIPES[kind].config)
    nn.init.zeros_(model.proj_out.weight)
    return model


def train(
    kind: str,
    samples: Callable[[], Drawn],
    text: TextEncoder,
    checkpoint: Path,
    device: torch.device,
    *,
    seconds: float,
    steps: int | None = None,
    batch: int | None = None,
) -> nn.Module:
    """Train or resume. Returns the averaged (EMA) weights, as far as they have come."""
    samples = cache(samples)  # not read where no step is left to do
    recipe = RECIPES[kind]
    model = build(kind).to(device)
    head = nn.Linear(*_seeing_sizes(recipe.config)).to(device)
    slow = copy.deepcopy(model).requires_grad_(False)
    for block in model.blocks:  # a third faster on a CPU
        block.forward = torch.compile(block.forward)
    seen: list[Tensor] = []
    model.blocks[SEEING_BLOCK].register_forward_hook(lambda block, args, out: seen.append(out))

    def loss_at(step: int, gen: torch.Generator) -> Tensor:
        z0, shown, features = _batch(recipe, batch, samples(), text, gen)
        loss = _velocity_loss(model, z0, features, gen)
        said = head(seen.pop().float())
        return loss + SEEING_WEIGHT * F.binary_cross_entropy_with_logits(
            said, _by_token(shown, recipe.config["patch_size"][1])
        )

    run(
        [*model.parameters(), *head.parameters()],
        loss_at,
        state={"model": model, "head": head},
        matrices=(p for p in model.blocks.parameters() if p.ndim == 2),
        ema={"model": slow},
        steps=steps or recipe.steps,
        lr=recipe.lr,
        checkpoint=checkpoint,
        rate=plateau,
        seconds=seconds,
    )
    return slow.eval()


def _seeing_sizes(config: dict) -> tuple[int, int]:
    """Features in and answers out of the head: one for each colour and shape, and position."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return width, (len(COLORS) + len(SHAPES)) * config["patch_size"][1] ** 2


def _by_token(shown: Tensor, patch: int) -> Tensor:
    """Cover [B, F, C, H, W] as the tokens of patches have it [B, tokens, C * patch * patch]."""
    cells = shown.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))  # B F C H p W p
    return cells.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 3)


def _velocity_loss(model: nn.Module, z0: Tensor, features: Tensor, gen: torch.Generator) -> Tensor:
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
    recipe: Recipe, batch: int | None, samples: Drawn, text: TextEncoder, gen: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, what they show, and features of their captions."""
    index = torch.randint(len(samples.z), (batch or recipe.batch,), generator=gen)
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    prompts = [
        "" if rng.random() < PROMPT_DROPOUT else recipe.caption(i, rng) for i in index.tolist()
    ]
    features = text(prompts)
    return samples.z[index].to(features), samples.shown[index].to(features) / 255, features
