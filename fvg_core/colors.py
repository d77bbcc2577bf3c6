"""Colours of a video that drift from its first frame."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import SizeError

MOST = 2.0  # by which contrast is raised at most, or lowered: a fade stays one


def match_first_frame(frames: Tensor, strength: float = 1.0, videos: int = 1) -> Tensor:
    """Every frame with the mean and deviation of its video's first frame, channel by channel
    (Reinhard et al. 2001, in RGB). The first frame stays as it is.

    frames [videos * F, H, W, C] in 0 to 1; strength: 0 (nothing) to 1 (all the way). Raises
    SizeError for frames that are not so many videos.
    """
    if len(frames) % videos:
        raise SizeError(
            f"{len(frames)} frames cannot be {videos} videos of one length. Set videos to the "
            "number that were sampled together (batch_size of the Anchor Latent Injector)."
        )
    x = frames.unflatten(0, (videos, -1))
    deviation, mean = torch.std_mean(x, (2, 3), correction=0, keepdim=True)
    gain = (deviation[:, :1] / deviation.clamp(min=1e-6)).clamp(1 / MOST, MOST)
    matched = ((x - mean) * gain + mean[:, :1]).clamp(0, 1)
    matched[:, 0] = x[:, 0]
    return torch.lerp(x, matched, strength).flatten(0, 1)
