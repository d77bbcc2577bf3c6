"""The tiny Wan: text to video from scratch, then made over for stills, and a LoRA for anchors."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...anchor import AnchorPlan, frame_sigmas, hybrid
from ...flow import add_noise, uniform_time, velocity
from ...schedules import shift_sigma
from .. import captions
from ..world import Scene
from .data import clip_scene, still_scene
from .loop import run
from .text import CONFIG, TextEncoder

VIDEO = {
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": CONFIG["d_model"],
    "freq_dim": 128,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "patch_size": (1, 2, 2),
    "num_attention_heads": 3,
    "attention_head_dim": 64,
    "ffn_dim": 384,
    "num_layers": 7,
}
# A token per latent position: 64 for a still instead of 16, which is what its shapes need.
IMAGE = {**VIDEO, "patch_size": (1, 1, 1)}
STEPS = {"video": 2400, "image": 2500, "image_more": 1800, "anchor": 1000}
BATCH = {"video": 32, "image": 64, "anchor": 32}
LR = {"video": 1e-3, "image": 1e-3, "image_more": 7e-4, "anchor": 1e-3}
TRAIN_SHIFT = 2.0  # shift of the training times: a little more weight near noise
PROMPT_DROPOUT = 0.1
LORA_RANK = {"image": 48, "anchor": 16}
LORA_TARGETS = r"blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))"
NO_ANCHOR_SHARE = 0.1  # keeps plain text-to-video alive under the LoRA
FIRST_FRAME_SHARE = 0.5  # of anchored samples; the others draw k uniformly (Alg. 1, l. 1)

Caption = Callable[[int, random.Random], str]


def clip_caption(index: int, rng: random.Random) -> str:
    return captions.text(captions.motion_spans(clip_scene(index), rng))


def still_caption(index: int, rng: random.Random) -> str:
    """What stands there; in a quarter of the cases the raw video caption instead."""
    scene: Scene = still_scene(index)[0]
    describe = captions.motion_spans if rng.random() < 0.25 else captions.still_spans
    return captions.text(describe(scene, rng))


def build() -> nn.Module:
    from diffusers import WanTransformer3DModel

    model = WanTransformer3DModel(**VIDEO)
    nn.init.zeros_(model.proj_out.weight)
    return model


def train_video(latents: Tensor, text: TextEncoder, checkpoint: Path) -> nn.Module:
    """Text to video from scratch. Returns the averaged (EMA) weights."""
    torch.manual_seed(0)
    model = build()
    slow = copy.deepcopy(model).requires_grad_(False)
    loss = lambda gen: _plain_loss(model, _batch("video", latents, clip_caption, text, gen), gen)
    run(
        model.parameters(),
        lambda step, gen: loss(gen),
        state={"model": model},
        ema={"model": slow},
        steps=STEPS["video"],
        lr=LR["video"],
        checkpoint=checkpoint,
    )
    return slow.eval()


def train_image(
    video: nn.Module, latents: Tensor, text: TextEncoder, checkpoint: Path
) -> dict[str, Tensor]:
    """The video model made over for stills: a LoRA in its blocks, and its ends trained whole for
    patches of 1 x 1. Two rounds, the second from the first's average. Returns the trained
    (averaged) weights, those of the LoRA under peft's keys."""
    model = _for_stills(video)
    trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
    batch = lambda gen: _batch("image", latents, still_caption, text, gen)
    loss = lambda gen: _plain_loss(model, batch(gen), gen, bf16=True)
    for stage, first in (("image", 0), ("image_more", STEPS["image"])):
        weights = nn.ParameterDict({k.replace(".", "/"): p for k, p in trained.items()})
        slow = copy.deepcopy(weights).requires_grad_(False)
        run(
            weights.parameters(),
            lambda step, gen, first=first: loss(gen.manual_seed(first + step)),
            state={"image": weights},
            ema={"image": slow},
            steps=STEPS[stage],
            lr=LR[stage],
            checkpoint=checkpoint.with_stem(stage),
        )
        with torch.no_grad():
            for key, p in weights.items():
                p.copy_(slow[key])
    return {k.replace(".default.", "."): p.detach() for k, p in trained.items()}


def _for_stills(video: nn.Module) -> nn.Module:
    """The video model with patches of 1 x 1, which start as the mean of what it did with 2 x 2."""
    from diffusers import WanTransformer3DModel
    from peft import LoraConfig

    torch.manual_seed(0)
    state = dict(video.state_dict())
    state["patch_embedding.weight"] = state["patch_embedding.weight"].sum((3, 4), keepdim=True)
    for part in ("weight", "bias"):
        ends = state[f"proj_out.{part}"]
        state[f"proj_out.{part}"] = ends.unflatten(0, (-1, VIDEO["out_channels"])).mean(0)
    model = WanTransformer3DModel(**IMAGE)
    model.load_state_dict(state)
    model.requires_grad_(False)
    rank = LORA_RANK["image"]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS))
    for end in (model.patch_embedding, model.proj_out):
        end.requires_grad_(True)
    model.scale_shift_table.requires_grad_(True)
    return model


def train_anchor_lora(
    model: nn.Module, latents: Tensor, text: TextEncoder, checkpoint: Path
) -> dict[str, Tensor]:
    """Anchor-grounding finetuning (Algorithm 1). Returns the LoRA's state dict (peft keys)."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    def loss(gen: torch.Generator) -> Tensor:
        z0, features = _batch("anchor", latents, clip_caption, text, gen)
        plan = anchor_plan(z0, gen)
        t, eps = _noise(z0, gen)
        x = hybrid(plan, add_noise(z0, eps, t))  # Alg. 1, l. 6-14
        v = predict(model, x, frame_sigmas(plan, t), features)
        # The anchor's noise is not in the input, so its term cannot be learned: leave it out.
        error = (v - velocity(z0, eps)).square() * plan.mask
        return error.sum() / (plan.mask.sum() * z0.shape[1])

    torch.manual_seed(0)
    model.requires_grad_(False)
    rank = LORA_RANK["anchor"]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS))
    adapters = nn.ModuleDict(
        {
            name.replace(".", "/"): module
            for name, module in model.named_modules()
            if name.endswith(("lora_A", "lora_B"))
        }
    )
    run(
        adapters.parameters(),
        lambda step, gen: loss(gen),
        state={"lora": adapters},
        steps=STEPS["anchor"],
        lr=LR["anchor"],
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


def _plain_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor], gen: torch.Generator, bf16: bool = False
) -> Tensor:
    z0, features = batch
    t, eps = _noise(z0, gen)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        v = predict(model, add_noise(z0, eps, t), t, features)
    return (v - velocity(z0, eps)).square().mean()


def _noise(z0: Tensor, gen: torch.Generator) -> tuple[Tensor, Tensor]:
    t = shift_sigma(uniform_time(len(z0), gen), TRAIN_SHIFT)
    return t, torch.randn(z0.shape, generator=gen)


def _batch(
    kind: str, latents: Tensor, caption: Caption, text: TextEncoder, gen: torch.Generator
) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(latents), (BATCH[kind],), generator=gen)
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    prompts = ["" if rng.random() < PROMPT_DROPOUT else caption(i, rng) for i in index.tolist()]
    return latents[index].float(), text(prompts)
