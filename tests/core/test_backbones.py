"""The table of facts, against the values that diffusers carries for the same models."""

import inspect
from dataclasses import FrozenInstanceError

import pytest

from fvg_core.backbones import (
    BACKBONES,
    IMAGE_TO_VIDEO,
    MODELS,
    BackboneSpec,
    family_of,
    model_of,
    sampled_as,
)
from fvg_core.backbones.cogvideox import COGVIDEOX15_5B, check_variant
from fvg_core.backbones.wan import (
    WAN21,
    WAN21_1_3B,
    WAN21_14B,
    WAN21_I2V_14B,
    WAN22_5B,
    WAN22_A14B,
    WAN22_I2V_A14B,
)
from fvg_core.errors import ModelMismatchError


def default(cls, name):
    return inspect.signature(cls.__init__).parameters[name].default


def test_wan21_is_as_diffusers_has_it():
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    assert WAN21.latent_channels == default(AutoencoderKLWan, "z_dim")
    assert WAN21.latent_channels == default(WanTransformer3DModel, "in_channels")
    assert WAN21.stride_time == default(AutoencoderKLWan, "scale_factor_temporal")
    assert WAN21.stride_space == default(AutoencoderKLWan, "scale_factor_spatial")
    assert (1, WAN21.patch_space, WAN21.patch_space) == default(WanTransformer3DModel, "patch_size")


def test_wan22_5b_is_as_published():
    # Wan-Video/Wan2.2 wan/configs/wan_ti2v_5B.py: vae_stride (4, 16, 16), patch_size (1, 2, 2).
    spec = WAN22_5B
    assert (spec.stride_time, spec.stride_space, spec.stride_space) == (4, 16, 16)
    assert (1, spec.patch_space, spec.patch_space) == (1, 2, 2)
    assert spec.latent_channels == 48


def test_cogvideox15_is_as_diffusers_has_it():
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

    spec = COGVIDEOX15_5B
    assert spec.latent_channels == default(AutoencoderKLCogVideoX, "latent_channels")
    assert spec.latent_channels == default(CogVideoXTransformer3DModel, "in_channels")
    assert spec.patch_space == default(CogVideoXTransformer3DModel, "patch_size")
    assert spec.stride_time == default(AutoencoderKLCogVideoX, "temporal_compression_ratio")
    assert spec.stride_space == 2 ** (
        len(default(AutoencoderKLCogVideoX, "block_out_channels")) - 1
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [((16, None), "CogVideoX 1.0"), ((32, 2), "32 input channels"), ((48, 2), "48 input channels")],
)
def test_other_models_of_the_cogvideox_family_are_refused(given, said):
    check_variant(16, 2)
    with pytest.raises(ModelMismatchError, match=said):
        check_variant(*given)


@pytest.mark.parametrize("size", [(832, 480), (1280, 720)])
def test_wan21_takes_its_published_sizes(size):
    assert not any(n % WAN21.size_multiple for n in size)


def test_wan22_5b_takes_its_published_size_and_not_720_lines():
    assert not any(n % WAN22_5B.size_multiple for n in (1280, 704))
    assert 720 % WAN22_5B.size_multiple


def test_rows_name_their_source_and_cannot_change():
    for spec in (*BACKBONES.values(), *MODELS):
        assert isinstance(spec, BackboneSpec)
        assert spec.source
        with pytest.raises(FrozenInstanceError):
            spec.patch_space = 1


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_a_published_model_has_all_its_facts_and_can_hold_its_own_video(spec):
    own = spec.sampling
    assert not any(n % spec.size_multiple for n in (own.width, own.height))
    assert (own.frames - 1) % spec.stride_time == 0
    assert [f.folder for f in spec.files].count("diffusion_models") == 1 + bool(own.cfg_low_noise)
    assert {"vae", "text_encoders"} <= {f.folder for f in spec.files}
    assert all(f.name.endswith(".safetensors") for f in spec.files)
    # The 5B knows clean frames, and the image-to-video models take their picture by themselves.
    assert spec.needs_lora == (spec.host_class != "WAN22" and not spec.image_channels)
    assert (spec.expert_boundary is None) == (own.cfg_low_noise is None)


def test_a_model_is_told_by_its_size():
    assert model_of(WAN21, 1536, 30) is WAN21_1_3B
    assert model_of(WAN22_5B, 3072, 30) is WAN22_5B
    assert model_of(WAN21, 256, 6) is WAN21  # the tiny world
    assert model_of(WAN21, 3072, 30) is WAN21  # another family's size


def test_a_14b_and_an_expert_cannot_be_told_apart_and_the_row_says_so():
    assert WAN21_14B.size == WAN22_A14B.size
    row = model_of(WAN21, 5120, 40)
    assert row.name == "Wan 2.1 T2V 14B or Wan 2.2 T2V A14B"
    assert row.expert_boundary == WAN22_A14B.expert_boundary
    assert WAN21_1_3B.expert_boundary is None


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_a_model_is_sampled_as_its_authors_do_alone_or_as_a_pair(spec):
    family = family_of(spec.host_class, spec.input_channels, spec.clip_vision)
    row = model_of(family, spec.size.dim, spec.size.layers)
    assert sampled_as(row, pair=spec.expert_boundary is not None).sampling == spec.sampling


def test_a_size_that_nobody_has_published_is_sampled_as_its_family():
    assert sampled_as(WAN21, pair=False) is sampled_as(WAN21, pair=True) is WAN21
    assert WAN21.sampling is not None


def test_image_to_video_models_are_told_by_their_input():
    wan21, wan22 = IMAGE_TO_VIDEO
    assert family_of("WAN21", 16, False) is WAN21
    assert family_of("WAN21", 36, True) is wan21
    assert family_of("WAN21", 36, False) is wan22
    assert family_of("WAN21", 48, True) is None  # control variants
    assert family_of("WAN22", 36, False) is None
    assert model_of(wan21, 5120, 40) is WAN21_I2V_14B
    assert model_of(wan22, 5120, 40) is WAN22_I2V_A14B
    assert model_of(wan22, 1536, 30) is wan22
    assert model_of(WAN21, 5120, 40).image_channels == 0
