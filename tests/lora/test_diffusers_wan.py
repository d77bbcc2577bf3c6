"""Wan in diffusers as a backbone: loading, and the sigma of every frame."""

from __future__ import annotations

import json

import pytest
import small_wan
import torch

from fvg_core.backbones.diffusers_models import load
from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.backbones.wan import WAN21, WAN22_5B
from fvg_core.errors import ModelMismatchError, WeightsError


@pytest.fixture(scope="module")
def backbone() -> DiffusersWan:
    return small_wan.backbone()


def test_one_sigma_for_all_frames_is_the_models_own_scalar_time(backbone):
    x, _, text = small_wan.inputs()
    sigma = torch.tensor([0.2, 0.9])
    with torch.no_grad():
        plain = backbone.module(x, sigma * 1000, text, return_dict=False)[0]
        ours = backbone.denoise(x, sigma[:, None].expand(2, 3), text)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


def test_every_frame_has_its_own_sigma(backbone):
    """Without attention between frames, a frame's velocity would follow its own sigma only."""
    x, sigma, text = small_wan.inputs()
    other = sigma.clone()
    other[:, 1] = 0.05
    zero = [block.attn1.to_out[0] for block in backbone.blocks]
    weights = [(layer, layer.weight.clone(), layer.bias.clone()) for layer in zero]
    with torch.no_grad():
        for layer in zero:
            layer.weight.zero_()
            layer.bias.zero_()
        change = (backbone.denoise(x, sigma, text) - backbone.denoise(x, other, text)).abs()
        for layer, weight, bias in weights:
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    assert change[:, :, [0, 2]].max() == 0
    assert change[:, :, 1].mean() > 1e-3


def test_blocks_are_the_models_own_in_order(backbone):
    assert [*backbone.blocks] == [*backbone.module.blocks]


@pytest.mark.parametrize("spec", [WAN21, WAN22_5B])
def test_the_family_is_read_from_the_channels(spec):
    channels = spec.latent_channels
    assert small_wan.backbone(in_channels=channels, out_channels=channels).spec is spec


def test_an_image_to_video_model_is_refused():
    with pytest.raises(ModelMismatchError, match=r"36 input channels.*16 channels.*48 channels"):
        small_wan.backbone(in_channels=36)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folder_is_loaded(tmp_path, backbone, dtype):
    backbone.module.save_pretrained(tmp_path)
    loaded = load(tmp_path, dtype)
    assert loaded.spec is WAN21
    assert loaded.module.patch_embedding.weight.dtype == dtype
    assert not loaded.module.training
    with torch.no_grad():
        ours, theirs = (b.denoise(*small_wan.inputs()) for b in (loaded, backbone))
    assert ours.dtype == torch.float32
    tolerance = 1e-6 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * theirs.abs().max().item())


def test_folders_without_a_text_to_video_transformer_are_refused(tmp_path, backbone):
    with pytest.raises(WeightsError, match="transformer_2"):
        load(tmp_path / "nowhere")
    backbone.module.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for changed, error, match in (
        ({**config, "_class_name": "WanVACETransformer3DModel"}, ModelMismatchError, "VACE"),
        ({**config, "in_channels": 36}, ModelMismatchError, "36 input channels"),
        ([config], WeightsError, "holds no diffusers transformer"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(error, match=match):
            load(tmp_path)


def test_damaged_weights_are_refused(tmp_path, backbone):
    backbone.module.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="fetch the folder again"):
        load(tmp_path)
    weights.unlink()
    with pytest.raises(WeightsError, match="fetch the folder again"):
        load(tmp_path)
