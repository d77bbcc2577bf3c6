"""Names of Wan's layers, against diffusers' own converter and its modules."""

from __future__ import annotations

import re

import pytest
import small_wan
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fvg_core.backbones.wan import WAN21
from fvg_core.lora import names
from fvg_core.lora.names import WAN_NAMES as WAN

IMAGE = {"image_dim": 10, "added_kv_proj_dim": 24}
LOCAL = st.sampled_from(sorted(names._BLOCK))
TOP = st.sampled_from(sorted(names._TOP))
TAIL = st.sampled_from(["", ".weight", ".bias", ".lora_A.weight", ".lora_B.default.weight"])


@pytest.fixture(scope="module", params=["text", "image"])
def module(request) -> nn.Module:
    return small_wan.backbone(**(IMAGE if request.param == "image" else {})).module


def test_every_module_and_parameter_goes_there_and_back(module):
    every = [n for n, _ in module.named_modules()] + [n for n, _ in module.named_parameters()]
    published = [WAN.to_published(name) for name in every]
    assert [WAN.to_diffusers(name) for name in published] == every
    assert len(set(published)) == len(every)


def test_parameters_are_named_as_diffusers_own_converter_expects_them(module):
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    state = module.state_dict()
    published = {WAN.to_published(key): value for key, value in state.items()}
    back = convert_wan_transformer_to_diffusers(dict(published))
    assert back.keys() == state.keys()
    assert all(back[key] is state[key] for key in state)


def test_the_linear_layers_are_known_and_nothing_else_is(module):
    linear = {WAN.to_published(n) for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    known = {n for n, _ in module.named_modules() if WAN.is_linear(WAN.to_published(n))}
    assert {WAN.to_published(name) for name in known} == linear


def test_the_lora_targets_are_all_linear_layers_of_the_text_to_video_model():
    module = small_wan.backbone().module
    linear = {WAN.to_published(n) for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    assert len(linear) == 2 * 10 + 6
    assert {name for name in linear if re.fullmatch(WAN21.lora_targets, name)} == linear


def test_flattened_names_are_unfolded(module):
    linear = [WAN.to_published(n) for n, m in module.named_modules() if isinstance(m, nn.Linear)]
    assert [WAN.from_flat(name.replace(".", "_")) for name in linear] == linear
    assert WAN.from_flat("blocks_0_self_attn_qq") is None
    assert WAN.from_flat("down_blocks_0_q") is None


@given(LOCAL, TAIL, st.integers(0, 200))
def test_names_in_a_block_round_trip(local, tail, index):
    name = f"blocks.{index}.{local}{tail}"
    published = WAN.to_published(name)
    assert published == f"blocks.{index}.{names._BLOCK[local]}{tail}"
    assert WAN.to_diffusers(published) == name


@given(TOP, TAIL)
def test_names_outside_the_blocks_round_trip(top, tail):
    assert WAN.to_published(top + tail) == names._TOP[top] + tail
    assert WAN.to_diffusers(names._TOP[top] + tail) == top + tail


@given(st.text("abct_.0123", max_size=30))
def test_any_other_name_stays(name):
    if not any(name == row or name.startswith(f"{row}.") for row in names._TOP):
        assert WAN.to_published(name) == name


def test_blocks_sort_by_number():
    given = ["head.head", "blocks.10.ffn.0", "blocks.2.ffn.2", "blocks.2.ffn.0"]
    assert sorted(given, key=names.natural_order) == [
        "blocks.2.ffn.0",
        "blocks.2.ffn.2",
        "blocks.10.ffn.0",
        "head.head",
    ]
