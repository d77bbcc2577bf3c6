"""Anchors through a ComfyUI MODEL, for every sampler and cache of the host, without editing it.

The anchors travel in the LATENT: `samples` holds the clean latents, `noise_mask` is 0 at them.
Three wrappers on the MODEL turn that into the paper's rule (section 4.2):

OUTER_SAMPLE     takes the mask away from the host, whose own inpainting would noise the anchors
                 again, and puts the anchors into the final latent bit for bit, also where another
                 sampler goes on from it (Wan 2.2's two experts wired by hand);
APPLY_MODEL      swaps the anchors in and replaces the prediction at them, in fp32, so that caches
                 and solvers see a model that already knows them;
DIFFUSION_MODEL  gives every frame its own timestep, which cannot pass through apply_model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...fvg_core.anchor import AnchorPlan, frame_sigmas, hand_over, hold_x0, hybrid, pin
from ...fvg_core.errors import ModelMismatchError
from . import image_to_video
from .cogvideox import has_pairs, wrap_around, wrap_within
from .models import spec_of, takes_pictures

_KEY = "fvg_anchors"


@dataclass(frozen=True)
class _Run:
    """The anchors of one sampling run, normalised as the model sees them."""

    plan: AnchorPlan
    retained: tuple[int, ...]  # latent frames that the host keeps in every context window

    # Plans without a window, tiled to the guidance branches of x, by the shape of x.
    _whole: dict[torch.Size, AnchorPlan] = field(default_factory=dict)

    def window(self, x: Tensor, transformer_options: dict) -> AnchorPlan:
        """The anchors that belong to x, a stack of guidance branches over one context window."""
        plan, window = self.plan, transformer_options.get("context_window")
        if window is None and x.shape in self._whole:
            return self._whole[x.shape]
        if window is not None:
            cut = lambda t: window.get_tensor(t, t.device, 2, retain_index_list=[*self.retained])
            plan = AnchorPlan(cut(plan.clean), cut(plan.mask))
        plan = plan.tile(x.shape[0] // plan.clean.shape[0])
        if plan.clean.shape != x.shape:
            raise ModelMismatchError(
                f"the model was called with a latent of {list(x.shape)} where the anchors are "
                f"{list(plan.clean.shape)}. Area conditioning cannot be combined with anchors; "
                "use prompts that cover the whole frame."
            )
        if window is None:
            self._whole[x.shape] = plan
        return plan


def anchored_model(model):
    """A clone of a MODEL that understands LATENTs with anchors. Harmless without anchors."""
    model = model.clone()
    if takes_pictures(model):
        image_to_video.add_wrapper(model)
    elif not model.get_wrappers(WrappersMP.OUTER_SAMPLE, _KEY):
        paired = has_pairs(model)
        if paired:
            wrap_around(model)
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, _outer_sample)
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, _KEY, _apply_model)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _KEY, _diffusion_model)
        if paired:
            wrap_within(model)
    return model


def _outer_sample(
    executor, noise, latent_image, sampler, sigmas, denoise_mask=None, *args, **kwargs
):
    if denoise_mask is None:
        return executor(noise, latent_image, sampler, sigmas, None, *args, **kwargs)
    guider = executor.class_obj
    _check_channels(guider.model_patcher, latent_image)
    device = guider.model_patcher.load_device
    raw = AnchorPlan(latent_image.to(device), denoise_mask[:, :1].to(device))
    normalised = guider.model_patcher.model.process_latent_in(raw.clean.float())
    handler = guider.model_options.get("context_handler")
    run = _Run(
        AnchorPlan(normalised, raw.mask), tuple(getattr(handler, "latent_retain_index_list", ()))
    )
    finish = pin if float(sigmas[-1]) == 0 else hand_over  # now: uni_pc writes into sigmas
    options = guider.model_options.setdefault("transformer_options", {})
    options[_KEY] = run
    try:
        out = executor(noise, latent_image, sampler, sigmas, None, *args, **kwargs)
    finally:
        del options[_KEY]
    return finish(raw.to(out), out)


def _check_channels(model, latent: Tensor) -> None:
    spec = spec_of(model)
    if latent.shape[1] != spec.latent_channels:
        raise ModelMismatchError(
            f"the latent has {latent.shape[1]} channels, but the MODEL ({spec.name}) takes "
            f"{spec.latent_channels}. Connect this MODEL and its VAE to the Anchor Latent Injector "
            "that makes the latent."
        )


def _apply_model(
    executor,
    x,
    t,
    c_concat=None,
    c_crossattn=None,
    control=None,
    transformer_options=None,
    **kwargs,
):
    transformer_options = transformer_options or {}
    run: _Run | None = transformer_options.get(_KEY)
    if run is None:
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)
    plan = run.window(x, transformer_options)
    x0 = executor(hybrid(plan, x), t, c_concat, c_crossattn, control, transformer_options, **kwargs)
    # A hybrid of its own: in a step that EasyCache skips, it writes into what it was given.
    return hold_x0(plan, hybrid(plan, x), x0)


def _diffusion_model(executor, x, timestep, *args, **kwargs):
    options = kwargs.get("transformer_options") or next(
        (a for a in args if isinstance(a, dict)), {}
    )
    run: _Run | None = options.get(_KEY)
    if run is not None:
        # Flow models are told a multiple of sigma, so the same rule holds; others have anchors of
        # no noise at all, and every timestep times 0 is that of a clean frame.
        timestep = frame_sigmas(run.window(x, options), timestep)
    return executor(x, timestep, *args, **kwargs)
