"""What a MODEL is, and the tiny world's loaders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import comfy.sd
import comfy.utils
import folder_paths
from comfy.text_encoders.wan import WanT5Tokenizer, te

from ...fvg_core.backbones import (
    BACKBONES,
    WAN22_A14B,
    WAN22_I2V_A14B,
    BackboneSpec,
    family_of,
    model_of,
    sampled_as,
)
from ...fvg_core.backbones.cogvideox import COGVIDEOX15, check_variant
from ...fvg_core.backbones.refused import load_instead, refusal
from ...fvg_core.errors import ModelMismatchError, WeightsError

_TINY = Path(__file__).resolve().parents[2] / "fvg_core" / "tiny" / "weights"
TINY_LORAS = _TINY / "loras"
_TINY_SHIFT = 3.0  # the host's default for Wan, 8, is for many more pixels


def register_folders() -> None:
    """Let the host's own LoRA loaders list the tiny world's anchor LoRA."""
    folder_paths.add_model_folder_path("loras", str(TINY_LORAS))


def spec_of(model) -> BackboneSpec:
    """The backbone of a MODEL. Raises ModelMismatchError for one that cannot take anchors."""
    kind, transformer = type(model.model).__name__, model.model.diffusion_model
    family = _family_of(model)
    if kind not in BACKBONES:
        raise ModelMismatchError(refusal(kind))
    if family is None:
        raise ModelMismatchError(
            f"the MODEL is a control variant of Wan ({_input_channels(model)} input channels): it "
            f"wants more than a picture. {load_instead()}"
        )
    if family is COGVIDEOX15:
        check_variant(transformer.in_channels, transformer.patch_size_t)
    return model_of(family, transformer.dim, len(transformer.blocks))


def takes_pictures(model) -> bool:
    """Whether a MODEL is an image-to-video model that we know."""
    family = _family_of(model)
    return family is not None and family.image_channels > 0


def _family_of(model) -> BackboneSpec | None:
    kind = type(model.model).__name__
    if kind not in BACKBONES or BACKBONES[kind] is COGVIDEOX15:
        return BACKBONES.get(kind)
    looks = model.model.diffusion_model.img_emb is not None
    return family_of(kind, _input_channels(model), looks)


def _input_channels(model) -> int:
    return model.model.diffusion_model.patch_embedding.weight.shape[1]


def trainable_spec_of(model) -> BackboneSpec:
    """The backbone of a MODEL that an anchor LoRA can be trained for, or ModelMismatchError."""
    spec = spec_of(model)
    if spec.image_channels:
        raise ModelMismatchError(
            f"the MODEL is {spec.name}, which was made to take a picture and needs no anchor LoRA. "
            "Train one for a text-to-video model."
        )
    return spec


def text_features(model) -> int:
    """Features of a text token, as the transformer of a MODEL takes them."""
    transformer = model.model.diffusion_model
    if spec_of(model).host_class == COGVIDEOX15.host_class:
        return transformer.patch_embed.text_proj.in_features
    return transformer.text_dim


def check_pair(high, low) -> None:
    """Raises ModelMismatchError for two MODELs that cannot be two experts."""
    spec, other = spec_of(high), spec_of(low)
    if spec.expert_boundary is None or other != spec:
        raise ModelMismatchError(
            f"model is {spec.name} and low_noise_model is {other.name}; two experts that share a "
            f"run are those of {WAN22_A14B.name}, or of {WAN22_I2V_A14B.name}. Connect the "
            "high-noise expert to model and its low-noise expert to low_noise_model, or leave "
            "low_noise_model open."
        )


def lora_warning(model) -> str | None:
    """A warning for a MODEL that needs an anchor LoRA and carries no LoRA at all, or None."""
    spec = spec_of(model)
    if not spec.needs_lora or model.patches or model.injections:
        return None
    return (
        "the MODEL carries no LoRA. A text-to-video model does not know what a clean frame is "
        "until an anchor LoRA has taught it, and the video will not fit its anchor (paper, section "
        f"4.1.1). For {spec.name} {spec.anchor_lora}. Load the LoRA with LoraLoaderModelOnly "
        "before this node. If it is merged into the checkpoint, all is well."
    )


def own_settings(
    model, given: Mapping[str, float], *, pair: bool
) -> tuple[dict[str, float], str | None]:
    """The numbers `given` by name (cfg, shift, low_noise_cfg, boundary), those that are 0 replaced
    by the MODEL's own; and what to say of that."""
    row = sampled_as(spec_of(model), pair=pair)
    own = {
        "cfg": row.sampling.cfg,
        "shift": row.sampling.shift[0] if row.sampling.shift else None,
        "low_noise_cfg": row.sampling.cfg_low_noise or row.sampling.cfg,
        "boundary": row.expert_boundary,
    }
    taken = {name: own[name] for name, value in given.items() if not value and own[name]}
    said = ", ".join(f"{name} {value:g}" for name, value in taken.items())
    return {**given, **taken}, f"{said} (0 stands for that of {row.name})" if taken else None


def load_tiny_world():
    """(video MODEL, image MODEL, CLIP, VAE) through the host's own loaders."""
    return (
        _load("fvg_tiny_video.safetensors", _transformer),
        _load("fvg_tiny_image.safetensors", _transformer),
        _load("fvg_tiny_text_encoder.safetensors", _clip),
        _load("fvg_tiny_vae.safetensors", _vae),
    )


def _load(name: str, build: Callable[[str, dict, dict], object]):
    """What `build` makes of a file's path, tensors and metadata. Raises WeightsError."""
    path = _TINY / name
    if not path.is_file():
        raise WeightsError(
            f"{name} is missing from fvg_core/tiny/weights. Restore it from the repository "
            "(git checkout -- fvg_core/tiny/weights), or make it: python -m fvg_core.tiny train."
        )
    try:
        state, metadata = comfy.utils.load_torch_file(
            str(path), safe_load=True, return_metadata=True
        )
        return build(str(path), state, metadata)
    except Exception as error:
        raise WeightsError(
            f"{name} in fvg_core/tiny/weights is damaged ({type(error).__name__}: {error}). "
            "Restore it from the repository: git checkout -- fvg_core/tiny/weights."
        ) from error


def _transformer(path: str, state: dict, metadata: dict):
    model = _tiny_transformer(path)
    _set_preview_colors(model, metadata)
    return model


def _set_preview_colors(model, metadata: dict) -> None:
    """Previews of the host use the colours of the real VAE's latents; these are the tiny one's."""
    colors = json.loads(metadata["preview_colors"])
    latent_format = model.model.latent_format
    latent_format.latent_rgb_factors = colors["factors"]
    latent_format.latent_rgb_factors_bias = colors["bias"]


def _tiny_transformer(path: str, disable_dynamic: bool = False):
    """Also how the host loads it a second time, for training."""
    model = comfy.sd.load_diffusion_model(path, disable_dynamic=disable_dynamic)
    model.model.model_sampling.set_parameters(shift=_TINY_SHIFT)
    model.cached_patcher_init = (_tiny_transformer, (path,))
    return model


def _vae(path: str, state: dict, metadata: dict):
    return comfy.sd.VAE(sd=state, metadata=metadata)


def _clip(path: str, state: dict, metadata: dict):
    config = json.loads(metadata["config"])
    return comfy.sd.CLIP(
        SimpleNamespace(params={}, clip=te(), tokenizer=WanT5Tokenizer),
        tokenizer_data={
            "spiece_model": state["spiece_model"],
            "umt5xxl_min_length": config.pop("min_length"),
        },
        state_dict=[state],
        model_options={"umt5xxl_model_config": config},
    )
