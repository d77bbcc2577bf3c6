"""A small random Wan of diffusers, as a backbone; and LoRA weights that do something."""

from __future__ import annotations

import torch
from torch import Tensor

from fvg_core.backbones.diffusers_wan import DiffusersWan

SIZES = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 8,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
}


def backbone(dtype: torch.dtype = torch.float32, **sizes) -> DiffusersWan:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    module = WanTransformer3DModel(**{**SIZES, **sizes}).eval()
    return DiffusersWan(module if dtype == torch.float32 else module.to(dtype))


def inputs(channels: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """x [2, C, 3, 8, 6], sigma [2, 3] with anchors at 0, text [2, 5, 8]."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, channels, 3, 8, 6, generator=generator)
    sigma = torch.tensor([[0.0, 0.7, 0.7], [0.3, 0.3, 0.0]])
    return x, sigma, torch.randn(2, 5, 8, generator=generator)


def filled(state: dict[str, Tensor], scale: float = 0.3) -> dict[str, Tensor]:
    """The same LoRA with random weights, B included."""
    generator = torch.Generator().manual_seed(2)
    return {k: torch.randn(v.shape, generator=generator) * scale for k, v in state.items()}
