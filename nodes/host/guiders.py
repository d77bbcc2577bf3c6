"""Guidance on the host: an interval of it, and two experts in one sampling run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
import torch
from torch import Tensor

from ...fvg_core.guidance import GuidanceInterval
from ...fvg_core.schedules import is_high_noise

_AFTER_CFG = "sampler_post_cfg_function"


@dataclass(frozen=True)
class LowNoiseExpert:
    """The second MODEL of a pair, its guidance scale, and the sigma below which it works."""

    model: Any
    cfg: float
    boundary: float


class IntervalGuider(comfy.samplers.CFGGuider):
    """The host's guidance, switched off outside an interval of sigma."""

    def __init__(self, model, positive, negative, cfg: float, interval: GuidanceInterval) -> None:
        super().__init__(model)
        self.set_conds(positive, negative)
        self.set_cfg(cfg)
        self.interval = interval

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        return comfy.samplers.sampling_function(
            self.inner_model,
            x,
            timestep,
            self.conds.get("negative"),
            self.conds.get("positive"),
            self.interval.scale(float(timestep.max()), self.cfg),
            model_options=model_options or {},
            seed=seed,
        )

    def load(self, shape: torch.Size) -> None:
        """Onto the device for latents of a shape; the host makes room for it as for any model."""
        self.inner_model, self.conds, self.loaded_models = comfy.sampler_helpers.prepare_sampling(
            self.model_patcher, shape, self.conds, self.model_options
        )
        self.model_patcher.pre_run()


class ExpertsGuider(IntervalGuider):
    """Two MODELs in one run: predicts with its own while there is much noise, and with `low`'s
    below the boundary.

    The solver sees one model, so that its history goes on over the switch, as in the authors' own
    code (Wan-Video/Wan2.2 wan/text2video.py: one scheduler for both). Each MODEL keeps its LoRAs,
    wrappers and caches.
    """

    def __init__(
        self, model, positive, negative, cfg: float, interval: GuidanceInterval, low: LowNoiseExpert
    ) -> None:
        super().__init__(model, positive, negative, cfg, interval)
        self.low = _LowNoiseGuider(low.model, positive, negative, low.cfg, interval)
        self.boundary = low.boundary

    def sample(self, noise, latent_image, sampler, sigmas, *args, **kwargs):
        # The host gives the latent back where there is no step to make.
        if not len(sigmas) or not is_high_noise(float(sigmas[0]), self.boundary):
            return self.low.sample(noise, latent_image, sampler, sigmas, *args, **kwargs)
        self._working: IntervalGuider = self
        given = (noise, latent_image, sampler, sigmas, *args)
        both = super().sample
        return self.low.sample_around(lambda: both(*given, **kwargs), *given, **kwargs)

    def outer_predict_noise(self, x, timestep, model_options=None, seed=None):
        high = is_high_noise(float(timestep.max()), self.boundary)
        expert = self if high else self.low
        if expert is not self._working:
            expert.load(x.shape)
            self._working = expert
        if high:
            return super().outer_predict_noise(x, timestep, model_options, seed)
        options = _with_additions(self.low.options, model_options, self.model_options)
        return self.low.outer_predict_noise(x, timestep, options, seed)


class _LowNoiseGuider(IntervalGuider):
    """The low-noise expert: samples by itself, or predicts within another guider's run."""

    _body: Callable[[], Tensor] | None = None

    def sample_around(self, body: Callable[[], Tensor], *args, **kwargs) -> Tensor:
        """What `body` samples, with conditions, hooks and wrappers of this MODEL set up around it.

        The MODEL itself is loaded when it is first asked for a prediction.
        """
        self._body = body
        return self.sample(*args, **kwargs)

    def outer_sample(
        self,
        noise,
        latent_image,
        sampler,
        sigmas,
        denoise_mask=None,
        callback=None,
        disable_pbar=False,
        seed=None,
        latent_shapes=None,
    ):
        if self._body is None:
            return super().outer_sample(
                noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed,
                latent_shapes=latent_shapes,
            )  # fmt: skip
        self.options: dict | None = None
        self._given = (noise, latent_image, sigmas, denoise_mask, seed, latent_shapes)
        patcher = self.model_patcher
        comfy.samplers.cast_to_load_options(
            self.model_options, device=patcher.load_device, dtype=patcher.model_dtype()
        )
        try:
            return self._body()
        finally:
            if self.options is not None:
                patcher.cleanup()
                comfy.sampler_helpers.cleanup_models(self.conds, self.loaded_models)

    def load(self, shape: torch.Size) -> None:
        super().load(shape)
        if self.options is None:
            self._prepare()

    def _prepare(self) -> None:
        """What the host's inner_sample does before it calls the solver."""
        noise, latent, sigmas, mask, seed, shapes = self._given
        device = self.model_patcher.load_device
        noise, latent = (t.to(device, torch.float32) for t in (noise, latent))
        if torch.count_nonzero(latent) > 0:
            latent = self.inner_model.process_latent_in(latent)
        self.conds = comfy.samplers.process_conds(
            self.inner_model, noise, self.conds, device, latent, mask, seed, latent_shapes=shapes
        )
        self.options = comfy.model_patcher.create_model_options_clone(self.model_options)
        self.options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas.to(device)


def _with_additions(options: dict, given: dict, base: dict) -> dict:
    """`options` with what the solver has added to `base`, which made it `given`: the cfg_pp
    samplers add a function that catches the unconditional prediction."""
    before = base.get(_AFTER_CFG, [])
    added = [function for function in given.get(_AFTER_CFG, []) if function not in before]
    if not added:
        return options
    return {
        **options,
        _AFTER_CFG: options.get(_AFTER_CFG, []) + added,
        "disable_cfg1_optimization": True,
    }
