"""LoRA files of ours in the stock loader: every key is applied, and as the formula says."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
import torch
from graphs import SIZE, Builder
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fvg_core.backbones.wan import WAN21
from fvg_core.lora.files import LoraFile, read_lora, save_lora
from fvg_core.lora.names import natural_order

pytestmark = pytest.mark.host

TINY = Path(__file__).resolve().parents[2] / "fvg_core/tiny/weights/fvg_tiny_video.safetensors"
RANK, ALPHA = 3, 6.0


class Stage:
    """The tiny video model in fp32 on the server, and what the host makes of LoRAs on it."""

    def __init__(self, comfy, client) -> None:
        self.comfy, self.client = comfy, client
        with safe_open(TINY, "pt") as file:
            self.metadata = file.metadata()
        self.weights = {key: value.float() for key, value in load_file(TINY).items()}
        self.layers = sorted(
            (k[:-7] for k in self.weights if re.fullmatch(WAN21.lora_targets, k[:-7])),
            key=natural_order,
        )
        self.base = self.model(self.weights)

    def model(self, weights) -> str:
        return self._write("diffusion_models", weights, self.metadata)

    def keys(self, tensors) -> str:
        """A LoRA file of these very keys."""
        return self._write("loras", tensors, None)

    def _write(self, kind, tensors, metadata) -> str:
        name = f"{uuid.uuid4().hex}.safetensors"
        (self.comfy.output / kind).mkdir(exist_ok=True)
        save_file(tensors, self.comfy.output / kind / name, metadata)
        return name

    def path(self, lora: str) -> Path:
        return self.comfy.output / "loras" / lora

    def lora(self, state, alpha=ALPHA, **settings) -> str:
        name = f"{uuid.uuid4().hex}.safetensors"
        save_lora(self.path(name), state, alpha=alpha, metadata={}, **settings)
        return name

    def sample(self, model: str, lora: str | None = None) -> tuple[torch.Tensor, list[str]]:
        """Two steps: the latent, and the LoRA keys that the host did not apply."""
        graph = Builder()
        graph.world(lora=False)
        graph.model = [graph.add("UNETLoader", unet_name=model, weight_dtype="default"), 0]
        if lora:
            graph.wrap("LoraLoaderModelOnly", lora_name=lora, strength_model=1.0)
        size = {"width": SIZE, "height": SIZE, "length": 5, "batch_size": 1}
        graph.latent = [graph.add("EmptyHunyuanLatentVideo", **size), 0]
        name = f"lora-{uuid.uuid4().hex}"
        graph.save(graph.sample_stock(steps=2), name)
        start = self.comfy.log.stat().st_size
        self.client.run(graph.graph)
        said = self.comfy.log.read_bytes()[start:].decode(errors="replace")
        latent = load_file(next(self.comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]
        return latent, re.findall(r"lora key not loaded: (\S+)", said)


@pytest.fixture
def stage(comfy, client) -> Stage:
    return Stage(comfy, client)


@pytest.fixture
def state(stage) -> dict[str, torch.Tensor]:
    """Random LoRA weights for every target of the model."""
    generator = torch.Generator().manual_seed(0)
    out = {}
    for layer in stage.layers:
        rows, columns = stage.weights[f"{layer}.weight"].shape
        out[f"{layer}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator) * 0.05
        out[f"{layer}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator) * 0.05
    return out


def merged(stage: Stage, lora: LoraFile) -> dict[str, torch.Tensor]:
    """The model's weights with the LoRA added: W + alpha / rank * B A."""
    out = dict(stage.weights)
    for layer in lora.alpha:
        a, b = (lora.tensors[f"{layer}.lora_{part}.weight"].float() for part in "AB")
        out[f"{layer}.weight"] = out[f"{layer}.weight"] + lora.alpha[layer] / len(a) * b @ a
    return out


def test_the_targets_are_all_linear_layers_of_the_checkpoint(stage):
    assert len(stage.layers) == 6 * 10 + 6  # ten in each block
    matrices = {k[:-7] for k, v in stage.weights.items() if k.endswith(".weight") and v.ndim == 2}
    assert set(stage.layers) == matrices


@pytest.mark.parametrize("alpha", [ALPHA, float(RANK)])
def test_the_stock_loader_applies_every_key(stage, state, alpha):
    lora = stage.lora(state, alpha)
    plain, _ = stage.sample(stage.base)
    ours, left_over = stage.sample(stage.base, lora)
    assert left_over == []
    by_hand = merged(stage, read_lora(stage.path(lora)))
    expected, _ = stage.sample(stage.model(by_hand))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)
    assert (ours - plain).abs().mean() > 0.05

    # Every single layer matters at that tolerance, so one that was passed over would show.
    some = stage.layers[3]
    without = {**by_hand, f"{some}.weight": stage.weights[f"{some}.weight"]}
    assert (ours - stage.sample(stage.model(without))[0]).abs().max() > 1e-3


def test_a_key_without_its_prefix_is_noticed(stage, state):
    tensors = load_file(stage.path(stage.lora(state)))
    key = next(key for key in tensors if key.endswith("lora_B.weight"))
    short = key.removeprefix("diffusion_model.")
    tensors[short] = tensors.pop(key)
    assert short in stage.sample(stage.base, stage.keys(tensors))[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_way_through_diffusers_layout_changes_nothing(stage, state, dtype):
    ours, _ = stage.sample(stage.base, stage.lora(state, dtype=dtype))
    foreign = read_lora(stage.path(stage.lora(state, dtype=dtype, layout="diffusers")))
    assert foreign.layout == "diffusers"
    back = stage.lora(foreign.tensors, foreign.alpha, dtype=dtype)
    latent, left_over = stage.sample(stage.base, back)
    assert left_over == []
    assert torch.equal(latent, ours)
