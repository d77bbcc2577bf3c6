"""Clips and captions through diffusers' VAEs and transformers' T5s, without ComfyUI.

The kinds are told by the folders' own config.json.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..backbones import BackboneSpec
from ..errors import ModelMismatchError, WeightsError
from ..files import weights_key
from .job import ModelFiles


@contextlib.contextmanager
def encoders(
    files: ModelFiles, spec: BackboneSpec, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[Callable[[Tensor], Tensor], Callable[[str], Tensor]]]:
    """Functions for pixels [F, H, W, 3] in [0, 1] -> latents [C, F', h, w] as the model sees
    them, and for a caption -> features [L, D]. Their models are gone afterwards.

    The VAE computes in fp32, the text encoder in `dtype`. Raises WeightsError and
    ModelMismatchError.
    """
    vae = _loaded(files.part("vae"), _vae).to(device)
    text = _loaded(files.part("text_encoder"), lambda f: _text_encoder(f, dtype)).to(device)
    tokenizer = _loaded(files.part("tokenizer"), _tokenizer)
    channels = vae.config.get("z_dim") or vae.config.latent_channels
    if channels != spec.latent_channels:
        raise ModelMismatchError(
            f"the VAE in {files.part('vae')} makes latents of {channels} channels; the "
            f"transformer ({spec.name}) takes {spec.latent_channels}. Name the VAE of its pipeline."
        )
    mean, std = _statistics(vae, device)

    @torch.no_grad()
    def encode_video(pixels: Tensor) -> Tensor:
        video = pixels.to(device).movedim(-1, 0)[None] * 2 - 1
        return ((vae.encode(video).latent_dist.mode()[0] - mean) / std).cpu()

    @torch.no_grad()
    def encode_text(caption: str) -> Tensor:
        tokens = tokenizer(
            caption,
            padding="max_length",
            max_length=files.text_length,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(device)
        seen = tokens.attention_mask
        if text.config.model_type == "t5":  # CogVideoX's: its authors never mask the padding
            seen = torch.ones_like(seen)
        features = text(tokens.input_ids, seen).last_hidden_state
        return (features * seen[..., None])[0].float().cpu()

    try:
        yield encode_video, encode_text
    finally:
        _release(vae, text)


@torch.no_grad()
def decode_video(files: ModelFiles, latents: Tensor, device: torch.device) -> Tensor:
    """Normalised latents [C, F', h, w] -> pixels [F, H, W, 3] in [0, 1], on the CPU.

    The VAE is loaded for this and gone afterwards; it works in tiles.
    """
    vae = _loaded(files.part("vae"), _vae).to(device)
    vae.enable_tiling()
    mean, std = _statistics(vae, device)
    try:
        video = vae.decode((latents.to(device) * std + mean)[None]).sample[0]
        return ((video + 1) / 2).clamp(0, 1).movedim(0, -1).cpu()
    finally:
        _release(vae)


def _statistics(vae, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of its latents, as the published VAE's config has them."""
    if "scaling_factor" in vae.config:  # CogVideoX
        values = [0.0], [1 / vae.config.scaling_factor]
    else:
        values = vae.config.latents_mean, vae.config.latents_std
    mean, std = (torch.tensor(v, device=device).view(-1, 1, 1, 1) for v in values)
    return mean, std


def _release(*models) -> None:
    on_gpu = any(model.device.type == "cuda" for model in models)
    for model in models:
        model.to("meta")
    gc.collect()
    if on_gpu:
        torch.cuda.empty_cache()


def encoders_key(files: ModelFiles, spec: BackboneSpec, dtype: torch.dtype) -> str:
    """Names what latents and features depend on."""
    parts = [files.all_of(part) for part in ("vae", "text_encoder", "tokenizer")]
    key = weights_key(itertools.chain(*parts))
    return f"{spec.host_class} diffusers {files.text_length} {dtype} {key}"


def _loaded(folder: Path, load: Callable):
    if not folder.is_dir():
        raise WeightsError(
            f"there is no folder {folder}. Name the folder of a pipeline in diffusers' layout "
            "as model.folder, or this part of it under [model]."
        )
    try:
        return load(str(folder))
    except Exception as error:  # the libraries raise whatever their readers raise
        raise WeightsError(
            f"{folder} cannot be loaded ({error}). Its files are incomplete, damaged or of another "
            "kind: fetch the folder again."
        ) from error


def _vae(folder: str):
    import diffusers

    kind = _named(folder, "_class_name", ("AutoencoderKLWan", "AutoencoderKLCogVideoX"))
    return getattr(diffusers, kind).from_pretrained(folder, local_files_only=True).eval()


def _text_encoder(folder: str, dtype: torch.dtype):
    import transformers

    classes = {"umt5": "UMT5EncoderModel", "t5": "T5EncoderModel"}
    kind = getattr(transformers, classes[_named(folder, "model_type", tuple(classes))])
    return kind.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()


def _named(folder: str, key: str, known: tuple[str, ...]) -> str:
    """What config.json says, which must be one of `known`."""
    value = json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get(key)
    if value not in known:
        raise ValueError(f"its {key} is {value!r} and not one of {', '.join(known)}")
    return value


def _tokenizer(folder: str):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)
