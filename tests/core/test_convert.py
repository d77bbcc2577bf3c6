"""diffusers' files to ComfyUI's names: every tensor, from one file or several, or a clear error."""

from __future__ import annotations

import subprocess
import sys

import cogvideox_reference as reference
import pytest
import torch
from safetensors.torch import load_file

from fvg_core.backbones.convert import convert
from fvg_core.errors import ModelMismatchError, WeightsError


@pytest.fixture(scope="module")
def backbone():
    return reference.small()


@pytest.mark.parametrize("shard", ["10GB", "100KB"])
def test_every_tensor_under_its_new_name(tmp_path, backbone, shard):
    backbone.module.save_pretrained(tmp_path / "transformer", max_shard_size=shard)
    files = list((tmp_path / "transformer").glob("*.safetensors"))
    assert (len(files) > 1) == (shard == "100KB")
    out = tmp_path / "models" / "x.safetensors"
    assert convert(tmp_path / "transformer", out) == len(backbone.module.state_dict())
    found = load_file(out)
    for name, tensor in backbone.module.state_dict().items():
        assert torch.equal(found[backbone.published_name(name)], tensor)
    assert "blocks.1.attn_out.weight" in found
    with pytest.raises(WeightsError, match="exists already"):
        convert(tmp_path / "transformer", out)


def test_what_cannot_be_converted_leaves_nothing(tmp_path, backbone):
    folder, out = tmp_path / "transformer", tmp_path / "x.safetensors"
    with pytest.raises(WeightsError, match=r"cannot be converted.*transformer"):
        convert(folder, out)
    backbone.module.save_pretrained(folder, max_shard_size="100KB")
    sorted(folder.glob("*.safetensors"))[1].unlink()
    with pytest.raises(WeightsError, match=r"00002-of-.* missing"):
        convert(folder, out)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("CogVideoXTr", "FluxTr"))
    with pytest.raises(ModelMismatchError, match="FluxTransformer"):
        convert(folder, out)
    assert {path.name for path in tmp_path.iterdir()} == {"transformer"}


def test_the_command(tmp_path, backbone):
    backbone.module.save_pretrained(tmp_path / "transformer")
    run = [sys.executable, "-m", "fvg_core", "convert", tmp_path / "transformer"]
    done = subprocess.run([*run, tmp_path / "x.safetensors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tensors in" in done.stdout
    done = subprocess.run([*run, tmp_path / "x.bin"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("WeightsError")
