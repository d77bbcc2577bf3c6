"""Schedules, runs and previews on the host's samplers."""

from __future__ import annotations

import comfy.model_management
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from torch import Tensor

from ...fvg_core.guidance import GuidanceInterval
from ...fvg_core.process import V_PREDICTION
from .guiders import ExpertsGuider, IntervalGuider, LowNoiseExpert

_GRID = ("downscale_ratio_spacial", "downscale_ratio_temporal")  # as the host spells them


def schedule(model, scheduler: str, steps: int, shift: float) -> Tensor:
    """Sigmas [steps + 1] of a host scheduler for a MODEL. Only flow models have a shift.

    Computed beside the MODEL instead of patched into it, so that nothing leaks into other runs.
    """
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.CONST):
        sampling = comfy.model_sampling.ModelSamplingDiscreteFlow()
        sampling.set_parameters(shift=shift)
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps)


def times(model, scheduler: str, steps: int, shift: float) -> Tensor:
    """The same schedule as times of the family's process (fvg_core/process.py)."""
    own, sigmas = model.get_model_object("model_sampling"), schedule(model, scheduler, steps, shift)
    if isinstance(own, comfy.model_sampling.CONST):
        return sigmas
    timesteps = own.timestep(sigmas[:-1]).float()
    return V_PREDICTION.times(torch.cat([timesteps, timesteps.new_tensor([-1])]))


def sample_video(
    model,
    positive,
    negative,
    latent: dict,
    *,
    seed: int,
    cfg: float,
    sampler_name: str,
    sigmas: Tensor,
    interval: GuidanceInterval,
    low: LowNoiseExpert | None = None,
) -> dict:
    """Sample a LATENT along sigmas, with progress and a preview of all frames.

    `low` takes over below its boundary; `model` and `cfg` are the high-noise expert's then.
    """
    ratios = [latent.get(name) for name in _GRID]  # of an empty one, to fit it to the model's own
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"], *ratios)
    guided = (model, positive, negative, cfg, interval)
    guider = IntervalGuider(*guided) if low is None else ExpertsGuider(*guided, low)
    out = guider.sample(
        comfy.sample.prepare_noise(samples, seed, latent.get("batch_index")),
        samples,
        comfy.samplers.sampler_object(sampler_name),
        sigmas.clone(),  # the host's uni_pc writes into it, and it may be another node's output
        denoise_mask=latent.get("noise_mask"),
        callback=_film_strip_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    out = out.to(
        comfy.model_management.intermediate_device(), comfy.model_management.intermediate_dtype()
    )
    return {name: v for name, v in latent.items() if name not in _GRID} | {"samples": out}


def _film_strip_callback(model, steps: int):
    """Progress with a preview of every latent frame: the host's own shows only the first, which
    here is the anchor and never changes."""
    latent_format = model.model.latent_format
    previewer = None
    if latent_format.latent_rgb_factors is not None:
        previewer = latent_preview.Latent2RGBPreviewer(
            latent_format.latent_rgb_factors,
            latent_format.latent_rgb_factors_bias,
            latent_format.latent_rgb_factors_reshape,
        )
    bar = comfy.utils.ProgressBar(steps)

    def callback(step, x0, x, total_steps):
        preview = None
        if previewer is not None:
            strip = previewer.decode_latent_to_preview(_film_strip(x0[:1]))
            preview = ("JPEG", strip, latent_preview.MAX_PREVIEW_RESOLUTION)
        bar.update_absolute(step + 1, total_steps, preview)

    return callback


def _film_strip(x0: Tensor) -> Tensor:
    """Latent [1, C, F, h, w] -> all its frames in reading order on one grid, about as wide as
    high: [1, C, 1, rows * h, columns * w]."""
    channels, frames, h, w = x0.shape[1:]
    columns = max(1, round((frames * h / w) ** 0.5))
    rows = -(-frames // columns)
    grid = torch.nn.functional.pad(x0, (0, 0, 0, 0, 0, rows * columns - frames))
    grid = grid.unflatten(2, (rows, columns)).transpose(3, 4)
    return grid.reshape(1, channels, 1, rows * h, columns * w)
