"""Wan as diffusers implements it: the backbone of headless training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import ModelMismatchError, WeightsError
from ..lora.names import WAN_NAMES
from . import MODELS, BackboneSpec, model_of
from .framewise import framewise, take_frames
from .wan import WAN21, WAN22_5B

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

_FAMILIES = {spec.latent_channels: spec for spec in (WAN21, WAN22_5B)}
_HEAD = 128  # features of an attention head, in all of them


class DiffusersWan:
    """A `Backbone` over diffusers' WanTransformer3DModel."""

    module: WanTransformer3DModel
    spec: BackboneSpec

    def __init__(self, module: WanTransformer3DModel) -> None:
        self.module = module
        config = module.config
        dim = config.num_attention_heads * config.attention_head_dim
        self.spec = model_of(_family(config.in_channels), dim, config.num_layers)
        for block in module.blocks:
            take_frames(block)

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> DiffusersWan:
        """The transformer in a local folder (its config.json and weights), on the CPU.

        Raises WeightsError, or ModelMismatchError for an image-to-video or control variant.
        """
        from diffusers import WanTransformer3DModel

        folder = Path(folder)
        config = _config(folder)
        _family(config.get("in_channels", 16))
        try:
            module = WanTransformer3DModel.from_pretrained(
                str(folder), torch_dtype=dtype, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # diffusers raises whatever its readers raise
            raise WeightsError(
                f"the transformer in {folder} cannot be loaded ({error}). Its files are incomplete "
                "or damaged: fetch the folder again."
            ) from error
        return cls(module)

    @classmethod
    def on_meta(cls, spec: BackboneSpec) -> DiffusersWan:
        """A published model's architecture in bf16, without weights, to be counted."""
        from diffusers import WanTransformer3DModel

        size = spec.size
        assert size is not None
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device("meta"):
                module = WanTransformer3DModel(
                    num_attention_heads=size.dim // _HEAD,
                    attention_head_dim=_HEAD,
                    ffn_dim=size.ffn,
                    num_layers=size.layers,
                    in_channels=spec.latent_channels,
                    out_channels=spec.latent_channels,
                )
        finally:
            torch.set_default_dtype(before)
        return cls(module)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.module.blocks)

    def published_name(self, name: str) -> str:
        return WAN_NAMES.to_published(name)

    def denoise(self, x: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        """Velocity of latents x [B, C, F, H, W] at sigma [B, F], given text [B, L, D]."""
        dtype = self.module.patch_embedding.weight.dtype
        timestep = sigma[:, :: self.module.config.patch_size[0]] * 1000
        velocity = framewise(self.module, x.to(dtype), timestep, text.to(dtype))
        return velocity.to(x.dtype)


def _family(channels: int) -> BackboneSpec:
    if channels not in _FAMILIES:
        classes = [spec.host_class for spec in _FAMILIES.values()]
        known = "; ".join(
            f"{spec.name} ({spec.latent_channels} channels)"
            for spec in MODELS
            if spec.host_class in classes
        )
        raise ModelMismatchError(
            f"the transformer takes {channels} input channels: an image-to-video or control "
            f"variant, or another family. Load a text-to-video model: {known}."
        )
    return _FAMILIES[channels]


def _config(folder: Path) -> dict:
    """The folder's config.json. Raises WeightsError unless it describes a Wan transformer."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{folder} holds no diffusers transformer ({error}). Name the folder with its "
            "config.json: `transformer` inside a Wan pipeline, or `transformer_2` for the "
            "low-noise expert of A14B."
        ) from error
    if kind != "WanTransformer3DModel":
        raise ModelMismatchError(
            f"the model in {folder} is {kind}; training without ComfyUI takes a "
            "WanTransformer3DModel, Wan's text-to-video transformer in diffusers' layout."
        )
    return config
