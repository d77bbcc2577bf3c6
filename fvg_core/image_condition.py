"""What an image-to-video model is given of its pictures: a clip and a mask.

As Wan's own code does (Wan-Video/Wan2.1 wan/image2video.py): a clip that is gray but for the given
frames, encoded whole by the video's VAE, and which pixel frames of it are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .frames import latent_length

GRAY = 0.5


def gray_clip(pictures: Mapping[int, Tensor], length: int) -> Tensor:
    """Pictures [H, W, 3] in 0 to 1 by pixel frame -> a clip [length, H, W, 3], gray elsewhere."""
    clip = torch.full((length, *next(iter(pictures.values())).shape), GRAY)
    for frame, picture in pictures.items():
        clip[frame] = picture
    return clip


def unknown_frames(given: Iterable[int], length: int, stride: int) -> Tensor:
    """0 where a pixel frame is given, 1 elsewhere: [1, stride, F, 1, 1], for each latent frame the
    pixel frames that it stands for. The first stands for one, which counts `stride` times."""
    mask = torch.ones(length)
    mask[list(given)] = 0
    frames = latent_length(length, stride)
    slots = torch.cat([mask[:1].expand(stride), mask[1:]])
    return slots.view(frames, stride).T.reshape(1, stride, frames, 1, 1)
