"""The tiny Wan transformers: text to video, text to image, and the anchor LoRA."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...anchor import AnchorPlan, frame_sigmas, hybrid
from ...flow import add_noise, velocity
from ...schedules import shift_sigma
from .. import captions
from ..world import Scene
from .data import clip_scene, still_scene
from .loop import run
from .text import CONFIG, TextEncoder

_COMMON = {
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": CONFIG["d_model"],
    "freq_dim": 128,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
}
VIDEO = {
    **_COMMON,
    "patch_size": (1, 2, 2),
    "num_attention_heads": 3,
    "attention_head_dim": 64,
    "ffn_dim": 384,
    "num_layers": 7,
}
IMAGE = {
    **_COMMON,
    "patch_size": (1, 1, 1),
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "ffn_dim": 256,
    "num_layers": 7,
}
STEPS = {"video": 3200, "image": 1300, "lora": 800}
BATCH = {"video": 32, "image": 64, "lora": 32}
LR = {"video": 1e-3, "image": 1.5e-3, "lora": 1e-3}
TRAIN_SHIFT = 2.0  # shift of the training times: a little more weight near noise
PROMPT_DROPOUT = 0.1
LORA_RANK = 16
LORA_TARGETS = r"blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))"
NO_ANCHOR_SHARE = 0.1  # keeps plain text-to-video alive under the LoRA
FIRST_FRAME_SHARE = 0.5  # of anchored samples; the others draw k uniformly (Alg. 1, l. 1)

Caption = Callable[[int, random.Random], str]


def build(config: dict) -> nn.Module:
    from diffusers import WanTransformer3DModel

    model = WanTransformer3DModel(**config)
    nn.init.zeros_(model.proj_out.weight)
    return model


def clip_caption(index: int, rng: random.Random) -> str:
    return captions.text(captions.motion_spans(clip_scene(index), rng))


def still_caption(index: int, rng: random.Random) -> str:
    """What stands there; in a quarter of the cases the raw video caption instead."""
    scene: Scene = still_scene(index)[0]
    describe = captions.motion_spans if rng.random() < 0.25 else captions.still_spans
    return captions.text(describe(scene, rng))


def train(
    kind: str, config: dict, latents: Tensor, caption: Caption, text: TextEncoder, checkpoint: Path
) -> nn.Module:
    """Train or resume 'video' or 'image' from scratch. Returns the averaged (EMA) weights."""
    torch.manual_seed(0)
    model = build(config)
    slow = copy.deepcopy(model).requires_grad_(False)

    def loss_at(step: int, gen: torch.Generator) -> Tensor:
        z0, features = _batch(latents, caption, text, BATCH[kind], gen)
        t = shift_sigma(torch.rand(len(z0), generator=gen), TRAIN_SHIFT)
        eps = torch.randn(z0.shape, generator=gen)
        v = predict(model, add_noise(z0, eps, t), t, features)
        return (v - velocity(z0, eps)).square().mean()

    run(
        model.parameters(),
        loss_at,
        state={"model": model},
        ema={"model": slow},
        steps=STEPS[kind],
        lr=LR[kind],
        checkpoint=checkpoint,
    )
    return slow.eval()


def train_lora(model: nn.Module, latents: Tensor, text: TextEncoder, checkpoint: Path) -> dict:
    """Anchor-grounding finetuning (Algorithm 1). Returns the LoRA's state dict (peft keys)."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(0)
    model.requires_grad_(False)
    model.add_adapter(LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=LORA_TARGETS))
    adapters = nn.ModuleDict(
        {
            name.replace(".", "/"): module
            for name, module in model.named_modules()
            if name.endswith(("lora_A", "lora_B"))
        }
    )

    def loss_at(step: int, gen: torch.Generator) -> Tensor:
        z0, features = _batch(latents, clip_caption, text, BATCH["lora"], gen)
        plan = anchor_plan(z0, gen)
        t = shift_sigma(torch.rand(len(z0), generator=gen), TRAIN_SHIFT)
        eps = torch.randn(z0.shape, generator=gen)
        x = hybrid(plan, add_noise(z0, eps, t))  # Alg. 1, l. 6-14
        v = predict(model, x, frame_sigmas(plan, t), features)
        # The anchor's noise is not in the input, so its term cannot be learned: leave it out.
        error = (v - velocity(z0, eps)).square() * plan.mask
        return error.sum() / (plan.mask.sum() * z0.shape[1])

    run(
        adapters.parameters(),
        loss_at,
        state={"lora": adapters},
        steps=STEPS["lora"],
        lr=LR["lora"],
        checkpoint=checkpoint,
    )
    return get_peft_model_state_dict(model)


def anchor_plan(z0: Tensor, gen: torch.Generator) -> AnchorPlan:
    """One clean frame of every clip's own latent z0[k], except for NO_ANCHOR_SHARE of them."""
    batch, _, frames = z0.shape[:3]
    u = torch.rand(3, batch, generator=gen)
    k = torch.where(u[0] < FIRST_FRAME_SHARE, 0, (u[1] * frames).long())
    mask = torch.ones(batch, 1, *z0.shape[2:])
    anchored = torch.nonzero(u[2] >= NO_ANCHOR_SHARE)[:, 0]
    mask[anchored, :, k[anchored]] = 0
    return AnchorPlan(z0, mask)


def predict(model: nn.Module, x: Tensor, sigma: Tensor, features: Tensor) -> Tensor:
    """Velocity of a diffusers Wan at latents x [B, C, F, H, W], sigma [B] or [B, F]."""
    if sigma.ndim == 2:
        _, ph, pw = model.config.patch_size
        sigma = sigma.repeat_interleave(x.shape[3] // ph * (x.shape[4] // pw), dim=1)
    return model(
        hidden_states=x, timestep=sigma * 1000, encoder_hidden_states=features, return_dict=False
    )[0]


def _batch(
    latents: Tensor, caption: Caption, text: TextEncoder, size: int, gen: torch.Generator
) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(latents), (size,), generator=gen)
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    prompts = ["" if rng.random() < PROMPT_DROPOUT else caption(i, rng) for i in index.tolist()]
    return latents[index].float(), text(prompts)
