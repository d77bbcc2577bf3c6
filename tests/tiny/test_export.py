"""Exported keys are the published ones: diffusers' own converters turn them back."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from fvg_core.tiny import export


def small_transformer():
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
    )


def small_vae():
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(base_dim=4, z_dim=16)


def assert_same(back: dict, original: dict) -> None:
    assert back.keys() == original.keys()
    for key, value in original.items():
        assert torch.equal(back[key], value), key


def test_the_transformer_converts_back():
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    original = small_transformer().state_dict()
    host = export.transformer_to_host(original)
    assert {"patch_embedding.weight", "head.modulation", "blocks.1.self_attn.q.weight"} <= set(host)
    assert_same(convert_wan_transformer_to_diffusers(dict(host)), original)


def test_the_vae_converts_back():
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    original = small_vae().state_dict()
    host = export.vae_to_host(original)
    assert {"conv1.weight", "encoder.head.0.gamma", "decoder.upsamples.14.residual.6.bias"} <= set(
        host
    )
    assert_same(convert_wan_vae_to_diffusers(dict(host)), original)


def test_the_config_is_read_from_the_model():
    config = export.wan_config(small_transformer().config)
    assert config == {
        "model_type": "t2v",
        "patch_size": [1, 2, 2],
        "in_dim": 4,
        "out_dim": 4,
        "dim": 24,
        "num_heads": 2,
        "ffn_dim": 32,
        "freq_dim": 16,
        "text_dim": 8,
        "num_layers": 2,
    }


def test_the_vocabulary_travels_with_the_text_encoder():
    from transformers import UMT5Config, UMT5EncoderModel

    model = UMT5EncoderModel(
        UMT5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=16, num_heads=2, num_layers=1)
    )
    state = export.text_to_host(model, b"\x00spiece\xff")
    assert bytes(state["spiece_model"].tolist()) == b"\x00spiece\xff"
    assert "shared.weight" in state
    assert "encoder.embed_tokens.weight" not in state  # the same tensor under a second name


def test_a_file_holds_half_precision_and_its_metadata(tmp_path):
    tensors = {
        "w": torch.randn(3, 4).t(),  # not contiguous
        "n": torch.tensor([1, 255], dtype=torch.uint8),
    }
    path = tmp_path / "new" / "w.safetensors"
    export.save(path, tensors, {"format": "pt", "recipe": {"steps": 3, "lr": [1e-3]}})
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("w"), tensors["w"].half())
        assert torch.equal(file.get_tensor("n"), tensors["n"])
        assert file.metadata()["format"] == "pt"
        assert json.loads(file.metadata()["recipe"]) == {"steps": 3, "lr": [1e-3]}


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    export.save(path, {"w": torch.ones(2)}, {"recipe": "first"})
    before = path.read_bytes()

    def full_disk(tensors, file, metadata):
        Path(file).write_bytes(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export.save(path, {"w": torch.zeros(2)}, {"recipe": "second"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(3))
def test_half_precision_keeps_three_digits(tmp_path, seed):
    torch.manual_seed(seed)
    weights = small_transformer().state_dict()
    path = tmp_path / "w.safetensors"
    export.save(path, weights, {})
    with safe_open(path, "pt") as file:
        for key, value in weights.items():
            torch.testing.assert_close(file.get_tensor(key).float(), value, rtol=1e-3, atol=1e-6)
