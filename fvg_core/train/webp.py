"""A sampled video as a small file that every browser plays."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_webp(images: Tensor, path: Path, fps: float) -> None:
    """Frames [F, H, W, 3] in [0, 1] as an animated WebP."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    first, *others = [Image.fromarray(frame) for frame in pixels]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        quality=90,
    )
