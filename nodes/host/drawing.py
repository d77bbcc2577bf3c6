"""Pictures from the host's image models, and from pipelines of diffusers."""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import folder_paths
import latent_preview
import torch
from torch import Tensor

from ...fvg_core.errors import AnchorError
from ...fvg_core.frames import check_size
from ...fvg_core.image import pipeline as diffusers_pipeline
from ...fvg_core.image.sources import NO_PIPELINE

# Pictures [B, H, W, 3] of some seeds; its second argument is told steps done, and a preview.
Draw = Callable[[Sequence[int], Callable[..., None]], Tensor]
# Its step size follows the error of the whole batch.
_ALONE = {"dpm_adaptive"}
_ROOM = 1.2  # of a pipeline's weights: what stays free beside them for their work


def list_pipelines() -> dict[str, Path]:
    """Pipeline folders below the host's models/diffusers, by name."""
    return diffusers_pipeline.list_pipelines(map(Path, folder_paths.get_folder_paths("diffusers")))


def pipeline_names() -> list[str]:
    return [NO_PIPELINE, *list_pipelines()]


def draws_in_batches(sampler_name: str | None) -> bool:
    """Whether a picture of a batch is the same as alone: not with noise drawn for all at once.

    None: a pipeline, which takes a seed for each.
    """
    if sampler_name is None:
        return True
    function = comfy.samplers.sampler_object(sampler_name).sampler_function
    return (
        sampler_name not in _ALONE and "noise_sampler" not in inspect.signature(function).parameters
    )


def with_model(
    model, clip, vae, *, prompt, negative, width, height, steps, cfg, sampler_name, scheduler
) -> Draw:
    """Draws by the host's ordinary sampling: each picture is that of its seed in KSampler."""
    check_size(width, height, vae.spacial_compression_encode())
    positive, negative = (
        clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (prompt, negative)
    )
    device = comfy.model_management.intermediate_device()
    empty = comfy.sample.fix_empty_latent_channels(
        model,
        torch.zeros(1, 4, height // 8, width // 8, device=device),
        downscale_ratio_spacial=8,
    )

    def draw(seeds: Sequence[int], on_step: Callable[..., None]) -> Tensor:
        latents = comfy.sample.sample(
            model,
            torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds]),
            steps,
            cfg,
            sampler_name,
            scheduler,
            positive,
            negative,
            torch.cat([empty] * len(seeds)),
            callback=_previewing(model, on_step),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seeds[0],
        )
        decoded = [vae.decode(latent).reshape(-1, height, width, 3) for latent in latents.split(1)]
        return torch.cat(decoded)

    return draw


def _previewing(model, on_step: Callable[..., None]):
    """The host's callback: what the model is drawing, as its previews are set."""
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    def callback(step, x0, x, total_steps):
        preview = previewer and previewer.decode_latent_to_preview_image("JPEG", x0)
        on_step(step + 1, preview)

    return callback


@contextlib.contextmanager
def with_pipeline(name: str, **settings: Any) -> Iterator[Draw]:
    """Draws with a pipeline of models/diffusers, whose memory is given back at the end.

    The host makes room for it. What does not fit at once is moved to the device part by part.
    """
    folder = list_pipelines().get(name)
    if folder is None:
        raise AnchorError(
            f"there is no pipeline {name!r} in models/diffusers with safetensors weights and a "
            f"{diffusers_pipeline.INDEX}. Found: {', '.join(list_pipelines()) or 'none'}."
        )
    management = comfy.model_management
    device = management.get_torch_device()
    half = not management.is_device_cpu(device)
    bf16 = management.should_use_bf16(device)
    dtype = (torch.bfloat16 if bf16 else torch.float16) if half else torch.float32
    # Loaded weights must be ordinary tensors: hooks that move them change them in place.
    with torch.inference_mode(False):
        held = [diffusers_pipeline.load_pipeline(folder, dtype)]
        try:
            _place(held[0], device)
            yield lambda seeds, on_step: diffusers_pipeline.draw(
                held[0], seeds=seeds, on_step=on_step, **settings
            )
        finally:
            held.pop().remove_all_hooks()  # whoever keeps the function keeps no weights
            gc.collect()
            management.soft_empty_cache()


def _place(pipeline: Any, device: torch.device) -> None:
    management = comfy.model_management
    if management.is_device_cpu(device):
        return
    needed = diffusers_pipeline.weight_bytes(pipeline) * _ROOM
    needed += management.minimum_inference_memory()
    management.free_memory(needed, device)
    if management.get_free_memory(device) >= needed:
        pipeline.to(device)
    else:
        pipeline.enable_model_cpu_offload(device=device)
