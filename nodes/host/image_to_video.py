"""Image-to-video models: the picture goes into the image conditioning that they were trained with.

The pictures travel with the MODEL, since a LATENT loses all but its samples and mask on the way
through a stock sampler, and the low-noise expert needs them as much as the high-noise one. A
wrapper adds them to the prompts of every run, as the stock WanImageToVideo does beforehand; the
mask of the LATENT is taken away from the host, whose own inpainting knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.clip_vision
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...fvg_core.anchor import AnchorPlan
from ...fvg_core.errors import AnchorError, ModelMismatchError
from ...fvg_core.image_condition import gray_clip, unknown_frames
from .models import spec_of

_KEY = "fvg_pictures"


@dataclass(frozen=True)
class _Pictures:
    """Of one video or a batch B of them."""

    frames: Mapping[int, Tensor]  # pixel frame -> IMAGE [n, H, W, 3], each for B / n videos
    latent: Tensor  # the clips of them, encoded: [B, C, F, h, w], as VAE Encode gives it
    unknown: Tensor  # [1, 4, F, h, w], 0 at given pixel frames
    seen: Mapping[int, Any]  # pixel frame -> CLIP_VISION_OUTPUT, for models that look at it too

    def conditioning(self) -> dict[str, Any]:
        """What the host reads of a prompt (comfy/model_base.py WAN21.concat_cond, extra_conds)."""
        values = {"concat_latent_image": self.latent, "concat_mask": self.unknown}
        if self.seen:
            looks = [self._of_batch(self.seen[frame]) for frame in sorted(self.seen)]
            values["clip_vision_output"] = comfy.clip_vision.Output()
            values["clip_vision_output"].penultimate_hidden_states = torch.cat(looks, dim=-2)
        return values

    def _of_batch(self, seen) -> Tensor:
        """What CLIP vision saw in n pictures, for each in B / n videos: [B, tokens, width]."""
        look = seen.penultimate_hidden_states
        return look.repeat_interleave(len(self.latent) // len(look), dim=0)


def with_picture(
    model,
    vae,
    plan: AnchorPlan,
    image: Tensor,
    frame: int,
    length: int,
    *,
    added: bool,
    clip_vision=None,
) -> tuple[Any, AnchorPlan]:
    """A MODEL that is given `image` [n, H, W, 3] at a pixel frame of clips of `length`, each
    picture in B / n videos of the plan's batch B, and the plan with the anchor that the final
    latent will hold: the first frame, which alone is a latent of its own. `added`: beside the
    pictures that the MODEL already has.

    Raises AnchorError for pictures that do not fit the batch, or a MODEL without the first ones.
    """
    spec, batch = spec_of(model), len(plan.clean)
    before: _Pictures | None = model.get_attachment(_KEY) if added else None
    if added and before is None:
        raise AnchorError(
            f"the latent of another Anchor Latent Injector is connected, and {spec.name} carries "
            "its pictures in the MODEL. Connect the model output of that injector to this one too."
        )
    if added and len(image) not in (1, batch):
        raise AnchorError(
            f"{len(image)} pictures for {batch} videos; give one, or one for each video."
        )
    if clip_vision and (looks := len(clip_vision.penultimate_hidden_states)) not in (1, len(image)):
        raise AnchorError(
            f"clip_vision_output is of {looks} pictures, and the image input has {len(image)}. "
            "Connect CLIP Vision Encode to the same pictures."
        )
    frames = {**(before.frames if before else {}), frame: image}
    count = max(map(len, frames.values()))
    clips = [
        gray_clip({k: shown[i * len(shown) // count] for k, shown in frames.items()}, length)
        for i in range(count)
    ]
    latent = torch.cat([vae.encode(clip) for clip in clips])
    _check_vae(spec, plan, latent)
    latent = latent.repeat_interleave(batch // count, dim=0)
    unknown = unknown_frames(frames, length, spec.stride_time).expand(-1, -1, -1, *latent.shape[3:])
    seen = {**(before.seen if before else {}), **({frame: clip_vision} if clip_vision else {})}
    model = model.clone()
    model.set_attachments(_KEY, _Pictures(frames, latent, unknown, seen))
    return model, plan.with_anchor(0, latent[:, :, :1]) if 0 in frames else plan


def _check_vae(spec, plan: AnchorPlan, latent: Tensor) -> None:
    if latent.shape[1:] != plan.clean.shape[1:]:
        raise ModelMismatchError(
            f"the VAE made {list(latent.shape)} of the clip; {spec.name} takes "
            f"{list(plan.clean.shape)}. Load the VAE that belongs to the MODEL."
        )


def sight_warning(model) -> str | None:
    """A warning for a MODEL that has a picture and was made to look at it too, or None."""
    pictures: _Pictures | None = model.get_attachment(_KEY)
    if pictures is None or pictures.seen or not spec_of(model).clip_vision:
        return None
    return (
        "nothing is connected to clip_vision_output. Wan 2.1's image-to-video models were trained "
        "to look at their picture through CLIP vision as well, and do worse without. Load "
        "clip_vision_h.safetensors with CLIP Vision Loader, and connect CLIP Vision Encode."
    )


def same_pictures(model, other):
    """`other` with the pictures of `model`, if it has any."""
    pictures = model.get_attachment(_KEY)
    if pictures is None:
        return other
    other = other.clone()
    other.set_attachments(_KEY, pictures)
    return other


def add_wrapper(model) -> None:
    """Let a MODEL put its pictures into the prompts of every run."""
    if not model.get_wrappers(WrappersMP.OUTER_SAMPLE, _KEY):
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, _outer_sample)


def _outer_sample(
    executor, noise, latent_image, sampler, sigmas, denoise_mask=None, *args, **kwargs
):
    guider = executor.class_obj
    pictures: _Pictures | None = guider.model_patcher.get_attachment(_KEY)
    if pictures is None:
        if denoise_mask is not None:
            raise ModelMismatchError(
                "the LATENT carries an anchor, and the MODEL is an image-to-video model without a "
                "picture. Connect the model output of the Anchor Latent Injector, not only its "
                "latent."
            )
        return executor(noise, latent_image, sampler, sigmas, None, *args, **kwargs)
    fits = len(pictures.latent) in (1, len(latent_image))
    if not fits or pictures.latent.shape[1:] != latent_image.shape[1:]:
        raise ModelMismatchError(
            f"the latent is {list(latent_image.shape)} and the MODEL's pictures were encoded for "
            f"{list(pictures.latent.shape)}. Connect the model and the latent of one Anchor Latent "
            "Injector."
        )
    for prompts in guider.conds.values():  # copies, made for this run
        for prompt in prompts:
            prompt.update(pictures.conditioning())
    finishes = float(sigmas[-1]) == 0  # now: uni_pc writes into sigmas
    out = executor(noise, latent_image, sampler, sigmas, None, *args, **kwargs)
    if finishes and 0 in pictures.frames:
        out = out.clone()
        out[:, :, :1] = pictures.latent[:, :, :1].to(out)
    return out
