"""A LoRA goes into a model, does what its formula says, and comes out without a trace."""

from __future__ import annotations

import math

import pytest
import small_wan
import torch
from torch import nn

from fvg_core.backbones.wan import WAN21
from fvg_core.errors import LoraError
from fvg_core.lora.adapter import attach

RANK, ALPHA = 3, 6.0


@pytest.fixture
def backbone():
    return small_wan.backbone()


def velocity(backbone) -> torch.Tensor:
    with torch.no_grad():
        return backbone.denoise(*small_wan.inputs())


def trace(module: nn.Module) -> dict:
    """Everything of a module tree that a visitor could have left changed, by identity."""
    return {
        name: (
            id(part),
            {key: value if key == "training" else id(value) for key, value in vars(part).items()},
            {key: id(value) for key, value in part._modules.items()},
            {
                key: (id(value), value.requires_grad, value.dtype)
                for key, value in part._parameters.items()
                if value is not None
            },
        )
        for name, part in module.named_modules()
    }


def test_the_model_comes_back_bit_for_bit(backbone):
    module = backbone.module
    next(iter(module.parameters())).requires_grad_(False)  # a mixture of both must survive
    before, weights = trace(module), {k: v.clone() for k, v in module.state_dict().items()}
    plain = velocity(backbone)
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    adapter.load(small_wan.filled(adapter.state()))
    module.train()
    assert not torch.equal(velocity(backbone), plain)
    adapter.eject()
    assert trace(module) == before
    assert all(torch.equal(v, weights[k]) for k, v in module.state_dict().items())
    assert module.state_dict().keys() == weights.keys()
    assert torch.equal(velocity(backbone), plain)
    adapter.eject()
    assert trace(module) == before
    attach(backbone, rank=1, alpha=1)  # and is free for another one


def test_a_failure_halfway_leaves_no_trace(backbone, monkeypatch):
    before = trace(backbone.module)

    plain = nn.init.kaiming_uniform_

    def full(tensor, **settings):  # peft's own calls on the meta device need no memory
        if tensor.is_meta:
            return plain(tensor, **settings)
        raise MemoryError

    monkeypatch.setattr(nn.init, "kaiming_uniform_", full)
    with pytest.raises(MemoryError):
        attach(backbone, rank=RANK, alpha=ALPHA)
    assert trace(backbone.module) == before


def test_a_new_lora_changes_nothing_yet(backbone):
    plain = velocity(backbone)
    attach(backbone, rank=RANK, alpha=ALPHA)
    assert torch.equal(velocity(backbone), plain)


def test_only_the_lora_learns(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    trainable = [p for p in backbone.module.parameters() if p.requires_grad]
    assert {id(p) for p in trainable} == {id(p) for p in adapter.parameters()}
    backbone.denoise(*small_wan.inputs()).square().mean().backward()
    assert all(p.grad is not None for p in adapter.parameters())
    assert sum(p.grad.abs().sum() for p in adapter.parameters()) > 0
    assert all(p.grad is None for p in backbone.module.parameters() if not p.requires_grad)


def test_the_lora_adds_scaled_b_a_to_every_weight(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    state = small_wan.filled(adapter.state())
    adapter.load(state)
    with_lora = velocity(backbone)
    adapter.eject()
    layers = {
        backbone.published_name(name): layer for name, layer in backbone.module.named_modules()
    }
    with torch.no_grad():
        for name in adapter.names:
            a, b = (state[f"{name}.lora_{part}.weight"] for part in "AB")
            layers[name].weight += ALPHA / RANK * b @ a
    torch.testing.assert_close(velocity(backbone), with_lora, rtol=1e-4, atol=1e-4)


def test_the_start_depends_on_the_seed_and_the_layer_alone(backbone):
    random = torch.get_rng_state()
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, seed=7)
    assert torch.equal(torch.get_rng_state(), random)
    first = adapter.state()
    adapter.eject()
    torch.manual_seed(99)
    few = attach(
        small_wan.backbone(torch.bfloat16), rank=RANK, alpha=1, seed=7, targets=r"blocks.*"
    )
    assert all(torch.equal(value, first[key]) for key, value in few.state().items())
    other = attach(backbone, rank=RANK, alpha=ALPHA, seed=8).state()
    a = [key for key in first if "lora_A" in key]
    assert not any(torch.equal(first[key], other[key]) for key in a)
    assert len({first[key].flatten()[0].item() for key in a}) == len(a)


def test_a_starts_like_pefts_and_b_at_zero(backbone):
    state = attach(backbone, rank=256, alpha=256).state()
    for key, value in state.items():
        if "lora_B" in key:
            assert not value.any()
        else:
            bound = 1 / math.sqrt(value.shape[1])  # kaiming_uniform_(a=sqrt(5))
            assert 0.9 * bound < value.abs().max() <= bound
            assert value.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_weights_are_fp32_whatever_the_models_dtype(dtype):
    backbone = small_wan.backbone(dtype)
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    assert {p.dtype for p in adapter.parameters()} == {torch.float32}
    x, sigma, text = small_wan.inputs()
    assert backbone.denoise(x, sigma, text).dtype == x.dtype


def test_fp8_weights_do_not_round_the_lora(backbone):
    first = attach(backbone, rank=RANK, alpha=ALPHA).state()
    coarse = small_wan.backbone(torch.float8_e4m3fn)
    state = attach(coarse, rank=RANK, alpha=ALPHA).state()
    assert all(torch.equal(state[key], first[key]) for key in first)


def test_a_model_without_plain_linear_layers_is_refused():
    class Quantised:
        """As the host holds quantised weights: modules of its own with a `weight`."""

        spec = WAN21
        module = nn.ModuleDict({"head": nn.Bilinear(1, 1, 1)})

        def published_name(self, name: str) -> str:
            return name

    with pytest.raises(LoraError, match="bf16 or fp16"):
        attach(Quantised(), rank=RANK, alpha=ALPHA)


def test_state_and_load_are_inverse(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    state = small_wan.filled(adapter.state())
    adapter.load(state)
    copy = adapter.state()
    assert list(copy) == [f"{n}.lora_{p}.weight" for n in adapter.names for p in "AB"]
    assert all(torch.equal(copy[key], state[key]) for key in state)
    assert [p.shape for p in adapter.parameters()] == [v.shape for v in copy.values()]
    with torch.no_grad():
        adapter.parameters()[0].zero_()
    assert torch.equal(copy[next(iter(copy))], state[next(iter(copy))])  # copies, not views
    assert not any(value.requires_grad for value in copy.values())


def test_a_state_that_does_not_fit_is_refused_and_nothing_is_taken_over(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    before, state = adapter.state(), small_wan.filled(adapter.state())
    last = list(state)[-1]
    for wrong, match in (
        ({k: v for k, v in state.items() if k != last}, f"missing 1: {last}"),
        ({**state, "blocks.9.ffn.0.lora_A.weight": state[last]}, "unknown 1: blocks.9"),
        ({**state, last: state[last][:, :2]}, rf"{last} is .* need"),
    ):
        with pytest.raises(LoraError, match=match):
            adapter.load(wrong)
        assert all(torch.equal(v, before[k]) for k, v in adapter.state().items())


def test_targets_choose_the_layers_in_natural_order():
    backbone = small_wan.backbone(num_layers=11)
    adapter = attach(backbone, rank=1, alpha=1, targets=r"blocks\.(2|10)\.self_attn\.[qk]")
    assert adapter.names == (
        "blocks.2.self_attn.k",
        "blocks.2.self_attn.q",
        "blocks.10.self_attn.k",
        "blocks.10.self_attn.q",
    )


def test_the_default_targets_are_all_linear_layers(backbone):
    linear = sum(isinstance(layer, nn.Linear) for layer in backbone.module.modules())
    assert len(attach(backbone, rank=1, alpha=1).names) == linear == 26


def test_dropout_follows_train(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, dropout=0.5)
    adapter.load(small_wan.filled(adapter.state()))
    assert not torch.equal(velocity(backbone), velocity(backbone))
    adapter.train(False)
    assert torch.equal(velocity(backbone), velocity(backbone))
    adapter.train()
    assert not torch.equal(velocity(backbone), velocity(backbone))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"targets": r"to_q"}, r"'to_q' match no linear layer .* 26: blocks\.0\.cross_attn\.k"),
        ({"targets": r"blocks\.(0"}, "not a regular expression"),
        ({"rank": 0}, "rank is 0"),
        ({"rank": 1.5}, "rank is 1.5"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(backbone, settings, match):
    before = trace(backbone.module)
    with pytest.raises(LoraError, match=match):
        attach(backbone, **{"rank": RANK, "alpha": ALPHA, **settings})
    assert trace(backbone.module) == before


def test_a_second_lora_is_refused(backbone):
    adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    adapter.load(small_wan.filled(adapter.state()))
    with_lora = velocity(backbone)
    with pytest.raises(LoraError, match="a LoRA already"):
        attach(backbone, rank=RANK, alpha=ALPHA)
    assert torch.equal(velocity(backbone), with_lora)


def test_it_can_be_attached_under_inference_mode():
    """As a node of the host runs: the weights are inference tensors, the LoRA must not be."""
    with torch.inference_mode():
        backbone = small_wan.backbone()
        flags = [p.requires_grad for p in backbone.module.parameters()]
        adapter = attach(backbone, rank=RANK, alpha=ALPHA)
    assert not any(p.is_inference() for p in adapter.parameters())
    adapter.eject()
    assert [p.requires_grad for p in backbone.module.parameters()] == flags
