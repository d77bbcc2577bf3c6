"""The tiny Wan: text to video from scratch, then made over for stills. Its anchor LoRA is made by
the LoRA Trainer, as a user makes one (`python -m dev anchor-lora`)."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...flow import add_noise, uniform_time, velocity
from ...schedules import shift_sigma
from .. import captions
from ..world import Scene
from .data import clip_scene, still_scene
from .loop import run
from .umt5 import CONFIG, TextEncoder

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
STEPS = {"video": 2400, "image": 2500, "image_more": 1800}
BATCH = {"video": 32, "image": 64}
LR = {"video": 1e-3, "image": 1e-3, "image_more": 7e-4}
TRAIN_SHIFT = 2.0  # shift of the training times: a little more weight near noise
PROMPT_DROPOUT = 0.1
LORA_RANK = 48
LORA_TARGETS = r"blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))"

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
    model.add_adapter(LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=LORA_TARGETS))
    for end in (model.patch_embedding, model.proj_out):
        end.requires_grad_(True)
    model.scale_shift_table.requires_grad_(True)
    return model


def _plain_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor], gen: torch.Generator, bf16: bool = False
) -> Tensor:
    z0, features = batch
    t, eps = _noise(z0, gen)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        x = add_noise(z0, eps, t)
        v = model(x, timestep=t * 1000, encoder_hidden_states=features, return_dict=False)[0]
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
