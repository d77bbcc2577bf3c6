"""Video data through the host's VAE and CLIP, from and into the host's own folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
from torch import Tensor

from ...fvg_core.backbones import BackboneSpec
from ...fvg_core.data import CachedDataset, Prepared, Target, prepare, stamp
from ...fvg_core.errors import DataError, ModelMismatchError
from ...fvg_core.frames import latent_length
from .models import text_features, trainable_spec_of
from .weights import weights_hash

# What was made in this process, by cache folder, with the clips' folder; and how often something
# of a clips' folder was found damaged. The host would hand out a dataset from its own cache
# without looking whether the files are still there.
_made: dict[Path, tuple[Path, CachedDataset]] = {}
_damaged: dict[Path, int] = {}


def clips_folder(name: str) -> Path:
    """A folder below the host's input or output folder. Raises DataError for any other."""
    inputs, outputs = (
        Path(root).resolve()
        for root in (folder_paths.get_input_directory(), folder_paths.get_output_directory())
    )
    name = name.strip()
    try:
        path = (inputs / name).resolve()
    except (OSError, ValueError) as error:
        raise DataError(f"{name!r} is not a path: {error}") from error
    inside = [root for root in (inputs, outputs) if path.is_relative_to(root) and path != root]
    if not name or not inside:
        raise DataError(
            f"the folder is {name!r}; only folders below ComfyUI's input or output folder are "
            "read. Copy the clips into a folder there, and give its name."
        )
    return path


def clips_stamp(name: str) -> str:
    """Changes when the clips in a folder change, or what was cached of them is damaged."""
    try:
        folder = clips_folder(name)
    except DataError:
        return name  # the node itself will say what is wrong
    for cache, (source, dataset) in list(_made.items()):
        if source == folder and dataset.damage():
            _damaged[folder] = _damaged.get(folder, 0) + 1
            del _made[cache]  # counted once; a new run puts it back
    return f"{stamp(folder)} {_damaged.get(folder, 0)}"


def cache_dataset(name: str, target: Target, model, vae, clip) -> Prepared:
    """Encode the clips of a folder, with progress; the host can interrupt it between clips."""
    source, spec = clips_folder(name), trainable_spec_of(model)
    _check_vae(vae, spec)
    key = _key(spec, vae, clip)
    short = hashlib.sha256(f"{source.as_posix()} {target} {key}".encode()).hexdigest()[:8]
    cache = Path(folder_paths.get_output_directory(), "fvg", "datasets", f"{source.name}-{short}")
    bar = comfy.utils.ProgressBar(1)
    for step in prepare(
        source,
        cache.resolve(),
        target,
        spec,
        encode_video=_video_encoder(model, vae, spec),
        encode_text=_text_encoder(model, clip),
        key=key,
    ):
        bar.update_absolute(step.done, step.total)
        comfy.model_management.throw_exception_if_processing_interrupted()
    _made[cache] = (source, step.prepared.dataset)
    return step.prepared


def _check_vae(vae, spec: BackboneSpec) -> None:
    given = (vae.latent_channels, vae.spacial_compression_encode())
    if given != (spec.latent_channels, spec.stride_space):
        raise ModelMismatchError(
            f"the VAE makes latents of {given[0]} channels, one for {given[1]} x {given[1]} "
            f"pixels; the MODEL ({spec.name}) takes {spec.latent_channels} channels, one for "
            f"{spec.stride_space} x {spec.stride_space}. Load the VAE that belongs to the MODEL."
        )


def _video_encoder(model, vae, spec: BackboneSpec) -> Callable[[Tensor], Tensor]:
    def encode(pixels: Tensor) -> Tensor:
        length, height, width, _ = pixels.shape
        frames = latent_length(length, spec.stride_time)
        size = (height // spec.stride_space, width // spec.stride_space)
        latents = vae.encode(pixels)
        if latents.shape != (1, spec.latent_channels, frames, *size):
            raise ModelMismatchError(
                f"the VAE made {list(latents.shape)} of {length} frames of {width} x {height}; "
                f"{[1, spec.latent_channels, frames, *size]} was expected. Load the video VAE that "
                "belongs to the MODEL."
            )
        return model.model.process_latent_in(latents.float())[0].clone()

    return encode


def _text_encoder(model, clip) -> Callable[[str], Tensor]:
    width = text_features(model)

    def encode(text: str) -> Tensor:
        # In a caption, brackets are brackets: only a prompt uses them for emphasis.
        features = clip.encode_from_tokens(clip.tokenize(text, disable_weights=True))
        if features.shape[-1] != width:
            raise ModelMismatchError(
                f"the CLIP gives {features.shape[-1]} features for each token and the MODEL takes "
                f"{width}. Load the text encoder that belongs to the MODEL (UMT5 XXL for Wan, T5 "
                "XXL for CogVideoX)."
            )
        return features[0].float().clone()

    return encode


def _key(spec: BackboneSpec, vae, clip) -> str:
    """Names what latents and text features depend on, the same whenever the host runs."""
    text = f"{weights_hash(clip.patcher)} layer {clip.layer_idx}"
    return f"{spec.host_class}, vae {weights_hash(vae.patcher)}, clip {text}"
