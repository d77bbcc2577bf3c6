"""Wan as diffusers implements it: the backbone of headless training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..errors import ModelMismatchError
from ..lora.names import WAN_NAMES
from . import MODELS, BackboneSpec, model_of
from .framewise import framewise, take_frames
from .wan import WAN21, WAN22_5B

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

_FAMILIES = {spec.latent_channels: spec for spec in (WAN21, WAN22_5B)}
_HEAD = 128  # features of an attention head, in all of them
_CLIP_VISION = 1280  # features that Wan 2.1 I2V takes of CLIP vision


class DiffusersWan:
    """A `Backbone` over diffusers' WanTransformer3DModel."""

    module: WanTransformer3DModel
    spec: BackboneSpec

    def __init__(self, module: WanTransformer3DModel, spec: BackboneSpec | None = None) -> None:
        """The row is read from the module, which must be a text-to-video model (or
        ModelMismatchError); `spec`: of one that is only counted."""
        self.module = module
        config = module.config
        dim = config.num_attention_heads * config.attention_head_dim
        self.spec = spec or model_of(_family(config.in_channels), dim, config.num_layers)
        for block in module.blocks:
            take_frames(block)

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


def check(config: Mapping) -> None:
    """Raise ModelMismatchError for a config of an image-to-video or control variant."""
    _family(config.get("in_channels", 16))


def architecture(spec: BackboneSpec) -> dict:
    """diffusers' constructor arguments for a published model."""
    size = spec.size
    assert size is not None
    return {
        "num_attention_heads": size.dim // _HEAD,
        "attention_head_dim": _HEAD,
        "ffn_dim": size.ffn,
        "num_layers": size.layers,
        "in_channels": spec.input_channels,
        "out_channels": spec.latent_channels,
        "image_dim": _CLIP_VISION if spec.clip_vision else None,
        "added_kv_proj_dim": size.dim if spec.clip_vision else None,
    }
