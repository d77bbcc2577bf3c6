"""Pictures and latents of the right size."""

from __future__ import annotations

import comfy.utils
import torch
from torch import Tensor

from ...fvg_core.backbones import BackboneSpec

FIT_RULES = ("crop", "pad", "stretch")


def fit(image: Tensor, width: int, height: int, rule: str) -> Tensor:
    """IMAGE [B, H, W, 3 or more] -> [B, height, width, 3], resampled by Lanczos.

    crop: fill the frame and cut what sticks out, equally on both sides. pad: show the whole
    picture and fill the rest with gray. stretch: ignore the aspect ratio.
    """
    x = image[..., :3].movedim(-1, 1)
    if x.shape[-2:] == (height, width):
        return x.movedim(1, -1)
    if rule == "pad":
        scale = min(width / x.shape[-1], height / x.shape[-2])
        w, h = max(1, round(x.shape[-1] * scale)), max(1, round(x.shape[-2] * scale))
        inner = comfy.utils.common_upscale(x, w, h, "lanczos", "disabled")
        x = torch.full((x.shape[0], 3, height, width), 0.5, dtype=x.dtype, device=x.device)
        top, left = (height - h) // 2, (width - w) // 2
        x[:, :, top : top + h, left : left + w] = inner
    else:
        crop = "center" if rule == "crop" else "disabled"
        x = comfy.utils.common_upscale(x, width, height, "lanczos", crop)
    return x.movedim(1, -1)


def encode_anchor(vae, image: Tensor, frames: range, spec: BackboneSpec) -> Tensor:
    """IMAGE [B, H, W, 3] -> clean latents [B, C, n, h, w] for n latent frames of one token.

    A causal VAE encodes the first frame alone. Any later latent frame stands for several pixel
    frames, so there the picture is encoded as a short still clip and its last latents are taken.
    """
    later = len(frames) - (frames[0] == 0)
    still = 1 + spec.stride_time * later
    latents = [vae.encode(picture.expand(still, -1, -1, -1)) for picture in image.split(1)]
    return torch.cat([z[:, :, -len(frames) :] for z in latents])
