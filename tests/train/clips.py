"""A small Wan and moving dots for it: real training in seconds."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.train.config import TrainConfig
from fvg_core.train.trainer import Trainer

CHANNELS, FRAMES, SIDE, TEXT_LENGTH, TEXT_DIM = 16, 3, 4, 6, 12
CLIPS = 14


def small_wan(seed: int = 0, **more) -> DiffusersWan:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    model = WanTransformer3DModel(
        **{
            "patch_size": (1, 1, 1),
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "in_channels": CHANNELS,
            "out_channels": CHANNELS,
            "text_dim": TEXT_DIM,
            "freq_dim": 16,
            "ffn_dim": 32,
            "num_layers": 2,
            "cross_attn_norm": True,
            "qk_norm": "rms_norm_across_heads",
            **more,
        }
    )
    return DiffusersWan(model.eval())


class Clips:
    """Latents in memory: every clip has one value per channel, told by an anchor."""

    def __init__(self, count: int, *, frames: int = FRAMES, long: int = 0):
        self.ids = self.digests = tuple(
            hashlib.sha256(f"clip {i}".encode()).hexdigest() for i in range(count)
        )
        self.fingerprint = hashlib.sha256("".join(self.ids).encode()).hexdigest()
        self.empty_text = torch.zeros(TEXT_LENGTH, TEXT_DIM)
        short = {(frames, SIDE, SIDE): tuple(range(long, count))}
        self.buckets = {**short, (frames + 1, SIDE, SIDE): tuple(range(long))} if long else short
        self._shape = {i: s for s, indices in self.buckets.items() for i in indices}

    def latents(self, index: int) -> Tensor:
        gen = torch.Generator().manual_seed(index)
        value = torch.randn(CHANNELS, 1, 1, 1, generator=gen)
        return value + 0.1 * torch.randn(CHANNELS, *self._shape[index], generator=gen)

    def text(self, index: int) -> Tensor:
        gen = torch.Generator().manual_seed(1000 + index)
        return torch.randn(TEXT_LENGTH, TEXT_DIM, generator=gen)


def config(**more) -> TrainConfig:
    """Quick settings; a section given replaces only the keys that it names."""
    quick = {
        "steps": 6,
        "batch": 4,
        "micro_batch": 2,
        "lora": {"rank": 4},
        "optimizer": {"lr": 1e-2, "warmup": 0},
        "memory": {"dtype": "fp32", "gradient_checkpointing": False},
        "keep": {"checkpoint_every": 2, "validate_every": 3, "validation_clips": 2},
    }
    for key, value in more.items():
        quick[key] = {**quick.get(key, {}), **value} if isinstance(value, dict) else value
    return TrainConfig.parse(quick)


def trained(steps: int | None = None, **more) -> dict[str, torch.Tensor]:
    with Trainer(small_wan(), Clips(CLIPS), config(**more)) as trainer:
        for state in trainer.run():
            if state.step == steps:
                break
        return trainer.adapter.state()


def assert_equal(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
