"""The table of facts, against the values that diffusers carries for the same models."""

import inspect
from dataclasses import FrozenInstanceError

import pytest

from fvg_core.backbones import BACKBONES, BackboneSpec
from fvg_core.backbones.wan import WAN21, WAN22_5B


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


@pytest.mark.parametrize("size", [(832, 480), (1280, 720)])
def test_wan21_takes_its_published_sizes(size):
    assert not any(n % WAN21.size_multiple for n in size)


def test_wan22_5b_takes_its_published_size_and_not_720_lines():
    assert not any(n % WAN22_5B.size_multiple for n in (1280, 704))
    assert 720 % WAN22_5B.size_multiple


def test_rows_are_found_by_the_host_class_and_cannot_change():
    assert all(key == spec.host_class for key, spec in BACKBONES.items())
    for spec in BACKBONES.values():
        assert isinstance(spec, BackboneSpec)
        assert spec.source
        with pytest.raises(FrozenInstanceError):
            spec.patch_space = 1
