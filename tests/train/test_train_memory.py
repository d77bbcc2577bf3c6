"""Stored weights: gradients against plain autograd, what is kept, and the way back."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fvg_core.errors import TrainingError
from fvg_core.lora.adapter import attach
from fvg_core.train.config import Memory
from fvg_core.train.memory import Stored, checkpointed, prepared

sys.path.append(str(Path(__file__).resolve().parents[1] / "lora"))

from small_wan import backbone, filled, inputs

CPU = torch.device("cpu")
PLAIN = Memory(dtype="fp32", gradient_checkpointing=False)
SETTINGS = {
    "checkpointing": {"gradient_checkpointing": True},
    "offload": {"offload_blocks": 2},
    "offload and checkpointing": {"offload_blocks": 1, "gradient_checkpointing": True},
    "fp8": {"fp8_base": True},
    "all": {"fp8_base": True, "offload_blocks": 1, "gradient_checkpointing": True},
}


def gradients(model, memory: Memory, autocast: bool = False, device=CPU):
    """Velocity and LoRA gradients of one forward and backward pass."""
    adapter = attach(model, rank=3, alpha=3)
    adapter.load(filled(adapter.state()))
    with prepared(model, memory, device):
        x, sigma, text = (t.to(device) for t in inputs())
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            v = model.denoise(x, sigma, text)
        v.float().square().mean().backward()
        result = v.detach().cpu(), [p.grad.cpu() for p in adapter.parameters()]
    adapter.eject()
    return result


def dequantised(model):
    """The model with the weights that 8 bits leave of its blocks' linear layers."""
    model = copy.deepcopy(model)
    for block in model.blocks:
        for m in block.modules():
            if isinstance(m, nn.Linear):
                m.weight.data = Stored.quantised(m.weight.data).ready(CPU, m.weight.dtype)
    return model


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_computes_what_plain_autograd_computes(name, autocast):
    model = backbone()
    memory = PLAIN.model_copy(update=SETTINGS[name])
    oracle = dequantised(model) if memory.fp8_base else model
    v, grads = gradients(oracle, PLAIN, autocast)
    v_stored, grads_stored = gradients(model, memory, autocast)
    assert torch.equal(v, v_stored)
    for expected, found in zip(grads, grads_stored, strict=True):
        assert torch.equal(expected, found)
    assert any(g.abs().max() > 0 for g in grads)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_model_comes_back_bit_for_bit(name):
    model = backbone()
    adapter = attach(model, rank=3, alpha=3)
    before = {id(m): dict(m.__dict__) for m in model.module.modules()}
    weights = {k: (p, p.detach().clone()) for k, p in model.module.named_parameters()}
    memory = PLAIN.model_copy(update=SETTINGS[name])

    def leave_by_an_error():
        with prepared(model, memory, CPU):
            assert [m for m in model.module.modules() if "forward" in m.__dict__]
            raise KeyError

    with pytest.raises(KeyError):
        leave_by_an_error()
    assert {id(m): dict(m.__dict__) for m in model.module.modules()} == before
    for key, p in model.module.named_parameters():
        assert p is weights[key][0]
        assert torch.equal(p, weights[key][1])
    adapter.eject()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-6, 0.02, 1.0, 3e4]),
    st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_eight_bits_keep_three_bits_of_mantissa(seed, size, dtype):
    weight = torch.randn(7, 33, generator=torch.Generator().manual_seed(seed)).to(dtype) * size
    weight[3] = 0
    stored = Stored.quantised(weight)
    assert stored.value.dtype == torch.float8_e4m3fn
    exact = stored.ready(CPU, torch.float64)
    assert torch.equal(stored.ready(CPU, torch.bfloat16).double(), exact)
    # Half a step of 2^-3, and below the smallest normal number (2^-6 of a range that ends at 448)
    # half a step of 2^-9.
    bound = (weight.double().abs() * 2**-4) + stored.scale * 2**-10
    assert ((exact - weight.double()).abs() <= bound).all()


def test_the_gradient_of_a_stored_layer_against_finite_differences():
    model = backbone().module.double()
    wrapped = _OneBlock(model)
    x = torch.randn(2, 24, dtype=torch.float64, requires_grad=True)
    for p in model.parameters():
        p.requires_grad_(False)
    with prepared(wrapped, PLAIN.model_copy(update={"offload_blocks": 1}), CPU):
        assert torch.autograd.gradcheck(wrapped.layer, x)


class _OneBlock:
    """One linear layer of a model as all that there is."""

    def __init__(self, model):
        self.layer = model.blocks[0].attn1.to_q
        self.module = nn.Sequential(self.layer)
        self.blocks = [self.module]


def saved_bytes(run) -> int:
    """Bytes that a forward pass keeps for its backward pass, each storage once."""
    storages = {}

    def pack(t):
        storages[t.untyped_storage()._cdata] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = run()
    del out
    return sum(storages.values())


def test_a_stored_layer_keeps_neither_its_input_nor_a_copy_of_its_weight():
    linear = nn.Linear(256, 256).requires_grad_(False)
    x = torch.randn(4, 256, requires_grad=True)
    wrapped = type("Model", (), {"module": nn.Sequential(linear), "blocks": [linear]})()

    def run():
        with torch.autocast("cpu", torch.bfloat16):
            return linear(x)

    assert saved_bytes(run) >= 256 * 256 * 2  # the weight as bf16, once more
    with prepared(wrapped, PLAIN.model_copy(update={"fp8_base": True}), CPU):
        assert saved_bytes(run) == 0


def test_checkpointing_keeps_a_blocks_input_only():
    model = backbone(num_layers=4)
    adapter = attach(model, rank=3, alpha=3)
    x, sigma, text = inputs()
    everything = saved_bytes(lambda: model.denoise(x, sigma, text))
    with prepared(model, PLAIN.model_copy(update={"gradient_checkpointing": True}), CPU):
        assert saved_bytes(lambda: model.denoise(x, sigma, text)) < 0.35 * everything
    adapter.eject()


def test_a_block_remembers_its_input_where_it_is_told(monkeypatch):
    """Which tensors go to the CPU; that they do is for a machine with a GPU to show."""
    block, seen = nn.Linear(8, 8), []
    real = torch.autograd.graph.saved_tensors_hooks

    def recording(pack, unpack):
        return real(lambda t: seen.append(t.shape) or pack(t), unpack)

    monkeypatch.setattr(torch.autograd.graph, "saved_tensors_hooks", recording)
    x = torch.randn(3, 8, requires_grad=True)
    with checkpointed(block, input_on_cpu=True):
        block(x).sum().backward()
    assert (3, 8) in seen
    assert x.grad is not None


def test_more_blocks_than_there_are_are_refused():
    with (
        pytest.raises(TrainingError, match="offload_blocks is 3, but the model has 2 blocks"),
        prepared(backbone(), Memory(offload_blocks=3), CPU),
    ):
        pass


class _SelfPlacing(nn.Linear):
    """Stands for the host's layers: a forward of its own."""

    def forward(self, x):
        return F.linear(x, self.weight.to(x.device), self.bias.to(x.device))


@pytest.mark.parametrize("memory", [Memory(fp8_base=True), Memory(offload_blocks=1)])
def test_layers_that_place_their_own_weights_are_refused(memory):
    model = backbone()
    model.module.blocks[0].ffn.net[2].__class__ = _SelfPlacing
    model.module.requires_grad_(False)
    before = [dict(m.__dict__) for m in model.module.modules()]
    with (
        pytest.raises(TrainingError, match=r"_SelfPlacing.*weight dtype of fp8"),
        prepared(model, memory, CPU),
    ):
        pass
    assert [dict(m.__dict__) for m in model.module.modules()] == before


def test_a_model_that_places_its_weights_itself_stays_where_it_is():
    """The meta device stands for another one: only what is trained goes there."""
    model = backbone()
    for m in model.module.modules():
        if type(m) is nn.Linear:
            m.__class__ = _SelfPlacing
    trained = model.module.blocks[0].scale_shift_table
    model.module.requires_grad_(False)
    trained.requires_grad_(True)
    moved = []
    real = torch.Tensor.to
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch.Tensor, "to", lambda t, *a, **k: moved.append(t.shape) or real(t, *a, **k)
        )
        patch.setattr("fvg_core.train.memory._numbered", lambda device: torch.device("cpu", 1))
        with prepared(model, PLAIN, CPU):
            pass
    assert set(moved) == {trained.shape}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", SETTINGS)
def test_weights_travel_to_the_gpu_and_back(name):
    model, memory = backbone(num_layers=4), PLAIN.model_copy(update=SETTINGS[name])
    v, grads = gradients(model, memory)
    v_gpu, grads_gpu = gradients(model, memory, device=torch.device("cuda"))
    torch.testing.assert_close(v_gpu, v, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(grads_gpu, grads, rtol=1e-3, atol=1e-4)
    assert {p.device for p in model.module.parameters()} == {CPU}
    with prepared(model, memory, torch.device("cuda")):
        away = {model.blocks[0].ffn.net[2].weight.device, model.blocks[3].ffn.net[2].weight.device}
    assert (CPU in away) == bool(memory.offload_blocks or memory.fp8_base)
