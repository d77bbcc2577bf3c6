"""CogVideoX 1.5 in plain tensors, with a timestep of its own for every pair of latent frames.

Written from the publications, not from the code that it tests: the expert transformer (Yang et al.
2024, arXiv 2408.06072, section 2.2: joint attention over text and video, adaptive norms of each
from the timestep, rotary positions in three dimensions), version 1.5's patches of two latent
frames, and the anchored timesteps of the paper (section 4.2, Algorithm 1 l. 9 and 12): video tokens
follow their pair's timestep, text tokens the clip's.

Weights: a dictionary under diffusers' names.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

HEAD = 64
SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": HEAD,
    "in_channels": 16,
    "out_channels": 16,
    "time_embed_dim": 24,
    "text_embed_dim": 12,
    "num_layers": 2,
    "patch_size": 2,
    "patch_size_t": 2,
    "attention_bias": True,
    "patch_bias": False,
    "use_rotary_positional_embeddings": True,
}


def predict(w: dict[str, Tensor], x: Tensor, pairs: Tensor, text_time: Tensor, text: Tensor):
    """v of x [B, C, F, H, W]; timesteps of pairs [B, F / 2] and of the text [B]; text [B, L, D]."""
    b, c, f, h, width = x.shape
    grid = (f // 2, h // 2, width // 2)
    per_pair = grid[1] * grid[2]
    # [B, tokens, channel, time, row, column] within a patch
    patches = x.reshape(b, c, grid[0], 2, grid[1], 2, grid[2], 2).permute(0, 2, 4, 6, 1, 3, 5, 7)
    video = linear(w, "patch_embed.proj", patches.reshape(b, math.prod(grid), -1))
    text = linear(w, "patch_embed.text_proj", text)
    dim = video.shape[-1]
    times = torch.cat([text_time[:, None], pairs], 1)
    emb = sinusoid(times, dim)
    emb = linear(w, "time_embedding.linear_2", F.silu(linear(w, "time_embedding.linear_1", emb)))
    of_text, of_video = emb[:, :1], emb[:, 1:].repeat_interleave(per_pair, dim=1)
    angles = rotary_angles(grid)
    for i in range(sum(k.endswith("attn1.to_q.weight") for k in w)):
        video, text = block(w, f"transformer_blocks.{i}", video, text, of_video, of_text, angles)
    video = layer_norm(w, "norm_final", video)
    shift, scale = linear(w, "norm_out.linear", F.silu(of_video)).chunk(2, -1)
    out = linear(w, "proj_out", layer_norm(w, "norm_out.norm", video) * (1 + scale) + shift)
    out = out.reshape(b, *grid, -1, 2, 2, 2).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return out.reshape(b, -1, f, h, width)


def block(w, name: str, video, text, of_video, of_text, angles):
    a, of_attention = modulated(w, f"{name}.norm1", video, text, of_video, of_text)
    update = attention(w, f"{name}.attn1", a, text.shape[1], angles)
    video, text = gated(video, text, update, of_attention)
    a, of_ffn = modulated(w, f"{name}.norm2", video, text, of_video, of_text)
    update = linear(w, f"{name}.ff.net.0.proj", a)
    update = linear(w, f"{name}.ff.net.2", F.gelu(update, approximate="tanh"))
    return gated(video, text, update, of_ffn)


def modulated(w, name: str, video, text, of_video, of_text):
    """Text and video tokens, normed and modulated; and the gates of both."""
    shift, scale, gate, *_ = linear(w, f"{name}.linear", F.silu(of_video)).chunk(6, -1)
    *_, t_shift, t_scale, t_gate = linear(w, f"{name}.linear", F.silu(of_text)).chunk(6, -1)
    text = layer_norm(w, f"{name}.norm", text) * (1 + t_scale) + t_shift
    video = layer_norm(w, f"{name}.norm", video) * (1 + scale) + shift
    return torch.cat([text, video], 1), (gate, t_gate)


def gated(video, text, update, gates):
    n = text.shape[1]
    return video + gates[0] * update[:, n:], text + gates[1] * update[:, :n]


def attention(w, name: str, x: Tensor, text_tokens: int, angles: Tensor) -> Tensor:
    q, k, v = (
        linear(w, f"{name}.to_{kind}", x).unflatten(-1, (-1, HEAD)).transpose(1, 2)
        for kind in "qkv"
    )
    q, k = (layer_norm(w, f"{name}.norm_{n}", t, 1e-6) for n, t in (("q", q), ("k", k)))
    q, k = (
        torch.cat([t[:, :, :text_tokens], rotate(t[:, :, text_tokens:], angles)], 2) for t in (q, k)
    )
    weights = (q @ k.transpose(-1, -2) / HEAD**0.5).softmax(-1)
    return linear(w, f"{name}.to_out.0", (weights @ v).transpose(1, 2).flatten(2))


def rotary_angles(grid: tuple[int, int, int]) -> Tensor:
    """[tokens, HEAD / 2]: a quarter of a head's planes for time, three eighths for each side."""
    planes = (HEAD // 8, 3 * HEAD // 16, 3 * HEAD // 16)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    return torch.cat(
        [
            axis.flatten()[:, None] * 10000 ** (-torch.arange(n, dtype=torch.float64) / n)
            for axis, n in zip(axes, planes, strict=True)
        ],
        1,
    )


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Each pair of neighbouring features is a plane that turns with the position."""
    plane = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return (
        torch.view_as_real(plane * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x)
    )


def sinusoid(t: Tensor, dim: int) -> Tensor:
    """[..., dim]: cosines, then sines."""
    rates = torch.exp(-math.log(10000) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2))
    angles = t[..., None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], -1)


def linear(w, name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def small(seed: int = 0, **sizes):
    """A small random CogVideoX 1.5 of diffusers, as a backbone."""
    from fvg_core.backbones.diffusers_cogvideox import DiffusersCogVideoX

    return DiffusersCogVideoX(network(seed, **sizes))


def network(seed: int = 0, **sizes):
    """The transformer alone. Its norms and biases are random too."""
    from diffusers import CogVideoXTransformer3DModel

    module = CogVideoXTransformer3DModel(**{**SIZES, **sizes}).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        value = torch.randn(p.shape, generator=generator)
        scale = 0.3 if p.ndim == 1 else p.shape[1] ** -0.5
        p.data = value * scale + (name.endswith("weight") and p.ndim == 1)
    return module


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """x [2, 16, 6, 4, 6], times [2, 6] with a clean pair in each, text [2, 5, 12]."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 16, 6, 4, 6, generator=generator)
    t = torch.tensor([[0.0, 0.0, 0.7, 0.7, 0.7, 0.7], [0.3, 0.3, 0.3, 0.3, 0.0, 0.0]])
    return x, t, torch.randn(2, 5, 12, generator=generator)
