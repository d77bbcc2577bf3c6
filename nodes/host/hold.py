"""Anchors through a ComfyUI MODEL, for every sampler and cache of the host, without editing it.

The anchors travel in the LATENT: `samples` holds the clean latents, `noise_mask` is 0 at them.
Three wrappers on the MODEL turn that into the paper's rule (section 4.2):

OUTER_SAMPLE     takes the mask away from the host, whose own inpainting would noise the anchors
                 again, and puts the anchors into the final latent bit for bit, also where another
                 sampler goes on from it (Wan 2.2's two experts wired by hand);
APPLY_MODEL      swaps the anchors in and replaces the prediction at them, in the solver's numbers
                 (fp32, of some packs float64), so that caches and solvers see a model that already
                 knows them;
DIFFUSION_MODEL  gives every frame its own timestep, which cannot pass through apply_model.

Where a MODEL asks for it (`negative_without_anchor`), the negative branch of guidance is shown no
anchors: at their frames it gets what the solver has there, the picture as noisy as all else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...fvg_core.anchor import AnchorPlan, frame_sigmas, hand_over, hold_x0, hybrid, pin
from ...fvg_core.errors import ModelMismatchError
from . import image_to_video
from .cogvideox import has_pairs, wrap_around, wrap_within
from .models import spec_of, takes_pictures

_KEY = "fvg_anchors"
_UNANCHORED = "fvg_negative_without_anchor"
_BESIDE = ("time_dim_concat", "context_latents")  # WanPhantomSubjectToVideo, Bernini Conditioning


@dataclass(frozen=True)
class _Run:
    """The anchors of one sampling run, normalised as the model sees them."""

    plan: AnchorPlan
    retained: tuple[int, ...]  # latent frames that the host keeps in every context window
    unanchored: frozenset[UUID]  # prompts that are sampled as if there were no anchors

    # Plans without a window, tiled to the guidance branches of x and where it is: the host may
    # split these between devices.
    _whole: dict[tuple[torch.Size, torch.device], AnchorPlan] = field(default_factory=dict)

    def window(self, x: Tensor, transformer_options: dict) -> AnchorPlan:
        """The anchors that belong to x, a stack of guidance branches over one context window."""
        plan, window = self.plan, transformer_options.get("context_window")
        if window is None and (x.shape, x.device) in self._whole:
            return self._whole[x.shape, x.device]
        if window is not None:
            cut = lambda t: window.get_tensor(t, t.device, 2, retain_index_list=[*self.retained])
            plan = AnchorPlan(cut(plan.clean), cut(plan.mask))
        plan = AnchorPlan(plan.clean.to(x.device), plan.mask.to(x.device))
        plan = plan.tile(x.shape[0] // plan.clean.shape[0])
        if plan.clean.shape != x.shape:
            raise ModelMismatchError(
                f"the model was called with a latent of {list(x.shape)} where the anchors are "
                f"{list(plan.clean.shape)}. Area conditioning cannot be combined with anchors; "
                "use prompts that cover the whole frame."
            )
        if window is None:
            self._whole[x.shape, x.device] = plan
        return plan

    def shown(self, plan: AnchorPlan, transformer_options: dict) -> AnchorPlan:
        """What the model is shown of a plan of `window`: without the anchors of some prompts."""
        if not self.unanchored:
            return plan
        return plan.without(self._unshown(plan, transformer_options))

    def held(self, plan: AnchorPlan, transformer_options: dict) -> AnchorPlan:
        """What its prediction is held by."""
        if not self.unanchored:
            return plan
        return plan.held(self._unshown(plan, transformer_options))

    def _unshown(self, plan: AnchorPlan, transformer_options: dict) -> Tensor:
        """The rows [B] of a plan that are sampled as if there were no anchors."""
        prompts = torch.tensor([p in self.unanchored for p in transformer_options["uuids"]])
        return prompts.repeat_interleave(len(plan.mask) // len(prompts)).to(plan.mask.device)


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


def negative_without_anchor(model, on: bool):
    """A clone of a MODEL whose negative branch is shown no anchors, or is again, where `on` is not
    set. Before or after `anchored_model`.

    Raises ModelMismatchError for one that takes the picture by itself.
    """
    spec = spec_of(model)
    if on and takes_pictures(model):
        raise ModelMismatchError(
            f"{spec.name} takes the picture as an input of its own, with which it was trained in "
            "both branches of guidance; it cannot be left out of the negative one. Set "
            "negative_without_anchor to false, or remove Anchor Options."
        )
    model = model.clone()
    model.model_options["transformer_options"][_UNANCHORED] = on
    return model


def same_options(model, other):
    """`other` with what `negative_without_anchor` has set on `model`, unless it has its own."""
    given = model.model_options["transformer_options"]
    if _UNANCHORED not in given or _UNANCHORED in other.model_options["transformer_options"]:
        return other
    return negative_without_anchor(other, given[_UNANCHORED])


def _outer_sample(
    executor,
    noise,
    latent_image,
    sampler,
    sigmas,
    denoise_mask=None,
    callback=None,
    disable_pbar=False,
    seed=None,
    **kwargs,
):
    rest = (callback, disable_pbar, seed)
    if denoise_mask is None:
        return executor(noise, latent_image, sampler, sigmas, None, *rest, **kwargs)
    guider = executor.class_obj
    _check_channels(guider.model_patcher, latent_image)
    _check_prompts(guider)
    device = guider.model_patcher.load_device
    raw = AnchorPlan(latent_image.to(device), denoise_mask[:, :1].to(device))
    normalised = guider.model_patcher.model.process_latent_in(raw.clean.float())
    handler = guider.model_options.get("context_handler")
    options = guider.model_options.setdefault("transformer_options", {})
    unanchored = _negative_prompts(guider) if options.get(_UNANCHORED) else frozenset()
    if unanchored:
        noise = _noise_at_anchors(noise, denoise_mask, seed)
    options[_KEY] = _Run(
        AnchorPlan(normalised, raw.mask),
        tuple(getattr(handler, "latent_retain_index_list", ())),
        unanchored,
    )
    finish = pin if float(sigmas[-1]) == 0 else hand_over  # now: uni_pc writes into sigmas
    try:
        out = executor(noise, latent_image, sampler, sigmas, None, *rest, **kwargs)
    finally:
        del options[_KEY]
    return finish(raw.to(out), out)


def _negative_prompts(guider) -> frozenset[UUID]:
    """The ids of what a guider weighs against. None where there are prompts of other kinds, such
    as PerpNeg's empty one: their differences would be the anchor's; and none where a prompt is for
    an area, whose id the host gives to what fills that area in the other branch."""
    prompts = [prompt for prompts in guider.conds.values() for prompt in prompts]
    if guider.conds.keys() != {"positive", "negative"} or any("area" in p for p in prompts):
        return frozenset()
    return frozenset(prompt["uuid"] for prompt in guider.conds["negative"])


def _noise_at_anchors(noise: Tensor, mask: Tensor, seed: int | None) -> Tensor:
    """Noise [B, C, F, h, w] that has some at the anchors too, where a run brings none because it
    goes on from another, which has handed over clean ones. It is what that run began with, if the
    seeds are the same."""
    drawn = torch.randn(noise.shape, generator=torch.Generator().manual_seed(seed or 0))
    return torch.where((mask.to(noise) < 1) & (noise == 0), drawn.to(noise), noise)


def _check_channels(model, latent: Tensor) -> None:
    spec = spec_of(model)
    if latent.shape[1] != spec.latent_channels:
        raise ModelMismatchError(
            f"the latent has {latent.shape[1]} channels, but the MODEL ({spec.name}) takes "
            f"{spec.latent_channels}. Connect this MODEL and its VAE to the Anchor Latent Injector "
            "that makes the latent."
        )


def _check_prompts(guider) -> None:
    """Raises ModelMismatchError for prompts with pictures that the host lays beside the frames: it
    would spread the frames' timesteps over all of them (comfy/ldm/wan/model.py, repeat_e)."""
    prompts = [prompt for prompts in guider.conds.values() for prompt in prompts]
    if any(prompt.get(name) is not None for prompt in prompts for name in _BESIDE):
        raise ModelMismatchError(
            "a prompt brings pictures of its own (from WanPhantomSubjectToVideo or Bernini "
            "Conditioning), which ComfyUI lays beside the frames of the video: the timesteps that "
            "tell an anchor from the rest would fall on the wrong ones. Connect prompts without "
            "such pictures, or a latent without an anchor."
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
    plan = run.window(x, transformer_options).to(x)  # some packs' solvers work in float64
    given = hybrid(run.shown(plan, transformer_options), x)
    x0 = executor(given, t, c_concat, c_crossattn, control, transformer_options, **kwargs)
    held = run.held(plan, transformer_options)
    # A hybrid of its own: in a step that EasyCache skips, it writes into what it was given.
    return hold_x0(held, hybrid(held, x), x0.to(x))


def _diffusion_model(executor, x, timestep, *args, **kwargs):
    options = kwargs.get("transformer_options") or next(
        (a for a in args if isinstance(a, dict)), {}
    )
    run: _Run | None = options.get(_KEY)
    if run is not None:
        # Flow models are told a multiple of sigma, so the same rule holds; others have anchors of
        # no noise at all, and every timestep times 0 is that of a clean frame.
        plan = run.shown(run.window(x, options), options)
        timestep = frame_sigmas(plan, timestep)
    return executor(x, timestep, *args, **kwargs)
