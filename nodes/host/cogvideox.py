"""What CogVideoX 1.5 needs of the host beyond the hold: its pairs, and the scale of its input.

OUTER_SAMPLE     gives a clip with an odd number of latent frames one more in front and takes it
                 away again (fvg_core/pairs.py says why; the host itself would put the first frame
                 beside the last);
APPLY_MODEL      scales what a solver holds to what the network was trained on. The host's solvers
                 hold z0 + sigma eps and its model of CogVideoX passes that on as it is (class
                 V_PREDICTION_DDPM), 4519 times too large at the first step: its own sampler for
                 this family, VOIDSampler, holds the right scale and is left alone;
DIFFUSION_MODEL  gives every pair its own timestep and the text the clip's, which is a change in
                 the norms of the transformer. It lasts for the call, so nothing is left behind.

The first two stand around the wrappers of the hold and the third within, so that the hold knows
nothing of all this.
"""

from __future__ import annotations

import comfy.model_base
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...fvg_core.anchor import check_softness
from ...fvg_core.backbones.cogvideox import COGVIDEOX15
from ...fvg_core.backbones.tokenwise import flat_timesteps, tokenwise
from ...fvg_core.errors import ModelMismatchError
from ...fvg_core.pairs import missing_in_front, noise_with_front, token_times, with_front

_KEY = "fvg_pairs"
_PATCH = COGVIDEOX15.patch_time


def has_pairs(model) -> bool:
    """Whether a MODEL makes one token of several latent frames."""
    return (
        isinstance(model.model, comfy.model_base.CogVideoX)
        and model.model.diffusion_model.patch_size_t == _PATCH
    )


def wrap_around(model) -> None:
    """Add what stands around the hold, to a clone that does not have the hold yet."""
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, _outer_sample)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, _KEY, _to_network_scale)


def wrap_within(model) -> None:
    """Add what stands within the hold, which is there already."""
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}_within", _to_host_scale)
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _KEY, _diffusion_model)


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
    missing = missing_in_front(latent_image.shape[2], _PATCH)
    if denoise_mask is not None:
        check_softness(denoise_mask, COGVIDEOX15.process)
        denoise_mask = with_front(denoise_mask, _PATCH)
    noise = noise_with_front(noise, _PATCH, seed or 0)
    latent_image = with_front(latent_image, _PATCH)
    shown = callback and (lambda i, x0, x, n: callback(i, x0[:, :, missing:], x[:, :, missing:], n))
    options = executor.class_obj.model_options.setdefault("transformer_options", {})
    options[_KEY] = isinstance(sampler, comfy.samplers.KSAMPLER)
    try:
        out = executor(
            noise, latent_image, sampler, sigmas, denoise_mask, shown, disable_pbar, seed,
            **{**kwargs, "latent_shapes": [latent_image.shape]},
        )  # fmt: skip
    finally:
        del options[_KEY]
    return out[:, :, missing:]


def _to_network_scale(executor, x, t, *args, **kwargs):
    """z0 + sigma eps -> sqrt(abar) z0 + sqrt(1 - abar) eps; sigma^2 is 1 / abar - 1."""
    if _options(args, kwargs).get(_KEY):
        x = x / _per_sample((t**2 + 1) ** 0.5, x)
    return executor(x, t, *args, **kwargs)


def _to_host_scale(executor, x, t, *args, **kwargs):
    """Undo beforehand what the MODEL's sampling does to its input: nothing, unless a node such as
    ModelSamplingDiscrete has replaced it."""
    if _KEY in _options(args, kwargs):
        sampling = executor.class_obj.model_sampling
        x = x / _per_sample(sampling.calculate_input(t, torch.ones_like(t)), x)
    return executor(x, t, *args, **kwargs)


def _diffusion_model(executor, x, timestep, *args, **kwargs):
    """timestep: [B], or [B, F] where the hold has been at work."""
    network = executor.class_obj
    if timestep.ndim == 1:
        return executor(x, timestep, *args, **kwargs)
    _check_window(x.shape[2], _options(args, kwargs))
    tokens = token_times(timestep, _PATCH)
    with tokenwise(network.blocks, network.norm_out):
        return executor(x, flat_timesteps(tokens.amax(1), tokens), *args, **kwargs)


def _check_window(count: int, options: dict) -> None:
    """Raises ModelMismatchError for a context window, of `count` latent frames with those that the
    host adds in front of it, that is not made of whole pairs of the clip."""
    window = options.get("context_window")
    frames = [*range(count)] if window is None else [*window.index_list]
    pairs = [f // _PATCH * _PATCH + i for f in frames[::_PATCH] for i in range(_PATCH)]
    if frames != pairs or len(frames) != count:
        raise ModelMismatchError(
            f"the context windows split pairs of latent frames, of which {COGVIDEOX15.name} makes "
            "one token. Use Context Windows (Manual) with dim 2, causal_window_fix off, "
            "context_schedule standard_static, and an even context_length and context_overlap "
            "(latent frames there), or no context windows."
        )


def _options(args: tuple, kwargs: dict) -> dict:
    """The transformer_options among the arguments of apply_model after x and t."""
    return kwargs.get("transformer_options") or next((a for a in args if isinstance(a, dict)), {})


def _per_sample(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (x.ndim - 1))
