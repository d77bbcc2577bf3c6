"""Latent frames that share a token, in models whose patches are several latent frames long.

CogVideoX 1.5 makes one token of two latent frames (`patch_time` 2), but a clip of 1 + 4 n pixel
frames often has an odd number of them. Its authors copy the first latent frame in front and drop
what comes of it before decoding (THUDM/CogVideo finetune/models/cogvideox_t2v/lora_trainer.py;
diffusers' CogVideoX pipelines), so the first picture is a pair of its own: anchored, it is given
twice, and no frame after it is. Padding at the end, as ComfyUI does by itself, would put the first
frame beside the last.
"""

from __future__ import annotations

import torch
from torch import Tensor


def missing_in_front(frames: int, patch_time: int) -> int:
    """How many latent frames a clip lacks to be a whole number of tokens."""
    return -frames % patch_time


def with_front(z: Tensor, patch_time: int) -> Tensor:
    """Latents or a mask [B, C, F, H, W] with the first frame copied in front as often as needed."""
    missing = missing_in_front(z.shape[2], patch_time)
    return torch.cat([z[:, :, :1].expand(-1, -1, missing, -1, -1), z], 2) if missing else z


def noise_with_front(noise: Tensor, patch_time: int, seed: int) -> Tensor:
    """Noise [B, C, F, H, W] for a clip with its frames in front: theirs is drawn here.

    A run that goes on from another brings no noise, and none is added.
    """
    b, c, frames, h, w = noise.shape
    generator = torch.Generator().manual_seed((seed + 1) % 2**63)
    front = torch.randn(b, c, missing_in_front(frames, patch_time), h, w, generator=generator)
    return torch.cat([front.to(noise) * noise.any(), noise], 2)


def together(frame: int, frames: int, patch_time: int) -> range:
    """The latent frames of a clip, without those in front, that share their token with `frame`."""
    missing = missing_in_front(frames, patch_time)
    first = (frame % frames + missing) // patch_time * patch_time - missing
    return range(max(0, first), first + patch_time)


def token_times(t: Tensor, patch_time: int) -> Tensor:
    """Times of latent frames [B, F] -> of tokens [B, F / patch_time].

    A token is as clean as its noisiest frame.
    """
    return t.unflatten(1, (-1, patch_time)).amax(2)
