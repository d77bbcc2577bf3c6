"""CogVideoX with a timestep for every pair of latent frames, and the text's own.

Its blocks modulate video and text tokens by one embedding of one timestep. Here the network is
given a flat list of timesteps, for each sample the text's and then each pair's; its embedders turn
any list into as many embeddings, and the norms below give every token its own. ComfyUI's and
diffusers' modules have the same parts under the same names, so this serves both; their linear
layers do the work, so that LoRAs take part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


def flat_timesteps(text: Tensor, tokens: Tensor) -> Tensor:
    """Timesteps [B] of the text and [B, P] of the pairs -> [B * (1 + P)], for the network."""
    return torch.cat([text[:, None], tokens], 1).flatten()


def take_tokens(blocks: Iterator[nn.Module], norm_out: nn.Module) -> list[nn.Module]:
    """Let a model take `flat_timesteps`, beside the one for each sample that it takes already.

    Returns the modules that were changed.
    """
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    for norm in norms:
        norm.forward = partial(_modulate_both, norm)
    norm_out.forward = partial(_modulate, norm_out)
    return [*norms, norm_out]


@contextmanager
def tokenwise(blocks: Iterator[nn.Module], norm_out: nn.Module) -> Iterator[None]:
    """`take_tokens` for a while; afterwards the model is what it was."""
    changed = take_tokens(blocks, norm_out)
    try:
        yield
    finally:
        for norm in changed:
            del norm.forward


def _modulate_both(norm: nn.Module, video: Tensor, text: Tensor, temb: Tensor):
    """CogVideoXLayerNormZero.forward for temb [B * (1 + P), T]: video [B, P * n, D], text
    [B, L, D], and a gate for each."""
    parts = norm.linear(norm.silu(temb)).unflatten(0, (video.shape[0], -1)).chunk(6, dim=2)
    shift, scale, gate = (_of_video(part) for part in parts[:3])
    text_shift, text_scale, text_gate = (part[:, :1] for part in parts[3:])
    text = _modulated(norm.norm(text), text_shift, text_scale)
    gate = gate.repeat_interleave(video.shape[1] // gate.shape[1], dim=1)
    return _modulated(norm.norm(video), shift, scale), text, gate, text_gate


def _modulate(norm: nn.Module, x: Tensor, temb: Tensor) -> Tensor:
    """The last norm's forward, for video tokens alone."""
    parts = norm.linear(norm.silu(temb)).unflatten(0, (x.shape[0], -1)).chunk(2, dim=2)
    return _modulated(norm.norm(x), *(_of_video(part) for part in parts))


def _of_video(part: Tensor) -> Tensor:
    """[B, 1 + P, D] -> [B, P, D]; the only one where there is one timestep for all."""
    return part[:, 1:] if part.shape[1] > 1 else part


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x [B, P * n, D] with shift and scale [B, P, D]."""
    x = x.unflatten(1, (shift.shape[1], -1))
    return (x * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)
