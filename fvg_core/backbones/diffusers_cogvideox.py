"""CogVideoX 1.5 as diffusers implements it: the backbone of headless training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..lora.names import COGVIDEOX_NAMES
from ..pairs import token_times
from . import BackboneSpec, model_of
from .cogvideox import COGVIDEOX15, check_variant
from .tokenwise import flat_timesteps, take_tokens

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

_HEAD = 64  # features of an attention head


class DiffusersCogVideoX:
    """A `Backbone` over diffusers' CogVideoXTransformer3DModel."""

    module: CogVideoXTransformer3DModel
    spec: BackboneSpec

    def __init__(
        self, module: CogVideoXTransformer3DModel, spec: BackboneSpec | None = None
    ) -> None:
        """`spec`: the module's row, if it is known."""
        self.module = module
        check(module.config)
        dim = module.config.num_attention_heads * module.config.attention_head_dim
        self.spec = spec or model_of(COGVIDEOX15, dim, module.config.num_layers)
        take_tokens(module.transformer_blocks, module.norm_out)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.module.transformer_blocks)

    def published_name(self, name: str) -> str:
        return COGVIDEOX_NAMES.to_published(name)

    def denoise(self, x: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        """v of latents x [B, C, F, H, W] at times sigma [B, F], given text [B, L, D]."""
        dtype = self.module.patch_embed.proj.weight.dtype
        times = self.spec.process.timestep(token_times(sigma, self.spec.patch_time))
        v = self.module(
            x.to(dtype).transpose(1, 2),
            text.to(dtype),
            flat_timesteps(times.amax(1), times),
            image_rotary_emb=self._rotary(x),
            return_dict=False,
        )[0]
        return v.transpose(1, 2).to(x.dtype)

    def _rotary(self, x: Tensor) -> tuple[Tensor, Tensor]:
        from diffusers.models.embeddings import get_3d_rotary_pos_embed

        frames, height, width = x.shape[2:]
        side = height // self.spec.patch_space, width // self.spec.patch_space
        return get_3d_rotary_pos_embed(
            self.module.config.attention_head_dim,
            crops_coords=None,
            grid_size=side,
            temporal_size=frames // self.spec.patch_time,
            grid_type="slice",
            max_size=side,
            device=x.device,
        )


def check(config: Mapping) -> None:
    """Raise ModelMismatchError for a config of another version or variant."""
    check_variant(config.get("in_channels", 16), config.get("patch_size_t"))


def architecture(spec: BackboneSpec) -> dict:
    """diffusers' constructor arguments for a published model."""
    assert spec.size is not None
    return {
        "num_attention_heads": spec.size.dim // _HEAD,
        "attention_head_dim": _HEAD,
        "num_layers": spec.size.layers,
        "in_channels": spec.latent_channels,
        "out_channels": spec.latent_channels,
        "patch_size": spec.patch_space,
        "patch_size_t": spec.patch_time,
        "attention_bias": True,
        "patch_bias": False,
        "use_rotary_positional_embeddings": True,
    }
