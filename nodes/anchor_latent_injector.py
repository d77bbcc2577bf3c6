"""Anchor Latent Injector (paper, section 4.1.1 and Algorithm 1, l. 8-9)."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..fvg_core.anchor import AnchorPlan, check_softness
from ..fvg_core.errors import AnchorError
from ..fvg_core.frames import check_size, latent_frame, latent_length
from ..fvg_core.pairs import together
from . import host

FRAMES = ("first", "last", "pixel frame")


class AnchorLatentInjector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorLatentInjector",
            display_name="Anchor Latent Injector",
            category="FVG",
            description="Fixes a picture as one frame of the video to come. Gives back a MODEL "
            "that understands fixed frames and a LATENT that carries them; any sampler will do.",
            search_aliases=["first frame", "image to video", "anchor", "start image"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A text-to-video model, with its anchor LoRA (Wan 2.2 5B needs none), "
                    "or an image-to-video one.",
                ),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the video model."),
                io.Combo.Input(
                    "frame",
                    options=list(FRAMES),
                    default="first",
                    tooltip="Which frame of the video the picture becomes.",
                ),
                io.Int.Input(
                    "pixel_frame",
                    default=0,
                    min=-4096,
                    max=4095,
                    tooltip="With 'pixel frame': its number from 0; negative counts from the end.",
                ),
                io.Int.Input(
                    "width", default=832, min=16, max=16384, step=16, tooltip="Video width, pixels."
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=16,
                    max=16384,
                    step=16,
                    tooltip="Video height, pixels.",
                ),
                io.Int.Input(
                    "length",
                    default=81,
                    min=1,
                    max=4097,
                    step=4,
                    tooltip="Video length in frames: 1 + 4 x n. Wan 2.1 was made for 81 at 16 "
                    "frames a second, Wan 2.2 5B for 121 at 24.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=64, tooltip="Videos for each picture."
                ),
                io.Combo.Input(
                    "fit",
                    options=list(host.FIT_RULES),
                    default="crop",
                    tooltip="For a picture of another shape. crop: fill the frame and cut the "
                    "rest. pad: show all of it on gray. stretch: distort it.",
                ),
                io.Float.Input(
                    "anchor_noise",
                    default=0.0,
                    min=0.0,
                    max=0.95,
                    step=0.01,
                    advanced=True,
                    tooltip="0 keeps the picture exactly (the paper). About 0.2 softens it and "
                    "frees the motion (the timestep multiplier of Pusa).",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="The anchor. Several make a batch of videos."
                ),
                io.Latent.Input(
                    "anchor_latent",
                    optional=True,
                    tooltip="Instead of image: one latent frame, already encoded.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="LATENT of another Anchor Latent Injector, to add an anchor to it.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    tooltip="Only for Wan 2.1 image-to-video models, which can look at the picture "
                    "through CLIP Vision Encode too.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="Understands anchors; samples as before without them."),
                io.Latent.Output(tooltip="An empty video with its anchors. For any sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        frame,
        pixel_frame,
        width,
        height,
        length,
        batch_size,
        fit,
        anchor_noise,
        image=None,
        anchor_latent=None,
        latent=None,
        clip_vision_output=None,
    ) -> io.NodeOutput:
        spec = host.spec_of(model)
        check_size(width, height, spec.size_multiple)
        frames = latent_length(length, spec.stride_time)
        at = {"first": 0, "last": -1}.get(frame, pixel_frame)
        k = latent_frame(at, length, spec.stride_time)
        if (image is None) == (anchor_latent is None):
            raise AnchorError("connect an image or an anchor_latent, exactly one of the two.")
        picture = None if image is None else host.fit(image, width, height, fit)
        given = anchor_latent["samples"] if picture is None else picture
        size = (
            spec.latent_channels,
            frames,
            height // spec.stride_space,
            width // spec.stride_space,
        )
        if latent is None:
            plan = AnchorPlan.empty(len(given) * batch_size, *size)
        else:
            plan = _plan_of(latent, size)
        if spec.image_channels:
            _check_image_to_video(spec.name, picture, anchor_noise)
            model, plan = host.with_picture(
                model,
                vae,
                plan,
                picture,
                at % length,
                length,
                added=latent is not None,
                clip_vision=clip_vision_output,
            )
        else:
            z = given
            if picture is not None:
                z = host.encode_anchor(vae, picture, together(k, frames, spec.patch_time), spec)
            if len(z) * batch_size == len(plan.clean):
                z = z.repeat_interleave(batch_size, dim=0)
            plan = plan.with_anchor(k, z, anchor_noise, spec.patch_time)
            check_softness(plan.mask, spec.process)
        host.warn_on(cls.hidden.unique_id, host.lora_warning(model) or host.sight_warning(model))
        return io.NodeOutput(
            host.anchored_model(model), {"samples": plan.clean, "noise_mask": plan.mask}
        )


def _check_image_to_video(name: str, picture: torch.Tensor | None, anchor_noise: float) -> None:
    if picture is None:
        raise AnchorError(
            f"an anchor_latent is connected, and {name} takes the picture itself. Connect an image."
        )
    if anchor_noise:
        raise AnchorError(
            f"anchor_noise is {anchor_noise}; {name} has one timestep for all frames and takes its "
            "picture without noise. Set it to 0."
        )


def _plan_of(latent: dict, shape: tuple[int, int, int, int]) -> AnchorPlan:
    samples, mask = latent["samples"], latent.get("noise_mask")
    if tuple(samples.shape[1:]) != shape:
        raise AnchorError(
            f"the connected latent is {list(samples.shape[1:])} (channels, frames, height, width) "
            f"and this node makes {list(shape)}; set the same width, height and length in both."
        )
    if mask is None:
        mask = torch.ones(samples.shape[0], 1, *samples.shape[2:])
    return AnchorPlan(samples, mask)
