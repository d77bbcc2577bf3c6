"""diffusers' Wan with one timestep for each latent frame.

Its own forward takes one for each token and then makes six modulations for each token: a third
of what training a checkpointed 14B at 480p has to keep in memory, and the same within a frame.
This is the same arithmetic (diffusers 0.42, models/transformers/transformer_wan.py) with the
modulations left at one for each frame. Its modules do the work, so that adapters and wrapped
blocks take part.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel


def framewise(model: WanTransformer3DModel, x: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
    """Velocity of latents x [B, C, F, H, W] at timestep [B, F / patch], given text [B, L, D]."""
    frames = timestep.shape[1]
    rotary = model.rope(x)
    hidden = model.patch_embedding(x).flatten(2).transpose(1, 2).contiguous()
    embedded, modulation, text, _ = model.condition_embedder(
        timestep.flatten(), text, None, timestep_seq_len=frames
    )
    modulation = modulation.unflatten(2, (6, -1))
    for block in model.blocks:
        hidden = block(hidden, text, modulation, rotary)
    table = model.scale_shift_table[:, None].to(embedded.device)
    shift, scale = (table + embedded[:, :, None]).chunk(2, dim=2)
    hidden = _modulated(model.norm_out(hidden.float()), shift, scale).type_as(hidden)
    return _unpatched(model.proj_out(hidden), x.shape, model.config.patch_size)


def take_frames(block: nn.Module) -> None:
    """Let a WanTransformerBlock take modulations [B, F, 6, D] too."""
    block.forward = partial(_block, block)


def _block(block: nn.Module, hidden: Tensor, text: Tensor, temb: Tensor, rotary) -> Tensor:
    """WanTransformerBlock.forward for hidden [B, F * n, D] and modulations temb [B, F, 6, D],
    one for each token or each frame, or [B, 6, D]."""
    temb = temb if temb.ndim == 4 else temb[:, None]
    table = block.scale_shift_table[:, None] + temb.float()
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.chunk(6, dim=2)

    normed = _modulated(block.norm1(hidden.float()), shift, scale).type_as(hidden)
    hidden = _added(hidden, block.attn1(normed, None, None, rotary), gate)

    normed = block.norm2(hidden.float()).type_as(hidden)
    hidden = hidden + block.attn2(normed, text, None, None)

    normed = _modulated(block.norm3(hidden.float()), ffn_shift, ffn_scale).type_as(hidden)
    return _added(hidden, block.ffn(normed).float(), ffn_gate)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x [B, F * n, D] with shift and scale [B, F, 1, D]."""
    return (x.unflatten(1, (shift.shape[1], -1)) * (1 + scale) + shift).flatten(1, 2)


def _added(hidden: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    update = (update.unflatten(1, (gate.shape[1], -1)) * gate).flatten(1, 2)
    return (hidden.float() + update).type_as(hidden)


def _unpatched(tokens: Tensor, shape: tuple[int, ...], patch: tuple[int, int, int]) -> Tensor:
    """Tokens [B, N, C * patch] -> [B, C, F, H, W] of `shape` but for C."""
    sides = [side // p for side, p in zip(shape[2:], patch, strict=True)]
    out = tokens.reshape(shape[0], *sides, *patch, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return out.flatten(6, 7).flatten(4, 5).flatten(2, 3)
