"""The host's CogVideoX 1.5, diffusers' and the plain reference are one model: same predictions, at
one timestep and at one for every pair; same LoRA, same gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import small_wan
import torch
from host_side import run_in_host, write_job
from safetensors.torch import load_file
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "core"))

import cogvideox_reference as reference

from fvg_core.lora.adapter import attach
from fvg_core.lora.files import read_lora, save_lora
from fvg_core.lora.names import COGVIDEOX_NAMES, names_of

RANK, ALPHA, SEED = 3, 6.0, 5
TOLERANCE = 1e-4
OPERATIONS = pytest.mark.parametrize("operations", ["disable_weight_init", "manual_cast"])

TIME = torch.tensor([700.0, 300.0])
PAIRS = torch.tensor([[0.0, 700, 700], [300, 300, 0]])


@pytest.fixture(scope="module")
def ours() -> dict[str, torch.Tensor]:
    """What diffusers' model and the plain reference predict."""
    backbone = reference.small()
    x, times, text = reference.inputs()
    weights = backbone.module.state_dict()
    out = {
        "plain": reference.predict(weights, x, TIME[:, None].expand(2, 3), TIME, text),
        "pairs": reference.predict(weights, x, PAIRS, TIME, text),
    }
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, seed=SEED)
    out |= {f"start.{key}": value for key, value in adapter.state().items()}
    adapter.load(small_wan.filled(adapter.state(), 0.1))
    v = backbone.denoise(x, times, text)
    v.square().mean().backward()
    named = zip(adapter.state(), adapter.parameters(), strict=True)
    return out | {f"grad.{n}": p.grad for n, p in named} | {"lora": v.detach()}


@pytest.fixture(scope="module")
def theirs(install, tmp_path_factory, ours) -> dict[str, torch.Tensor]:
    """What the host's implementation gives for the same weights, inputs and LoRA."""
    folder = tmp_path_factory.mktemp("parity")
    x, _, text = reference.inputs()
    start = {k.removeprefix("start."): v for k, v in ours.items() if k.startswith("start.")}
    state = reference.small().module.state_dict()
    job = {f"model.{COGVIDEOX_NAMES.to_published(key)}": value for key, value in state.items()}
    job |= {f"lora.{key}": value for key, value in small_wan.filled(start, 0.1).items()}
    write_job(
        folder / "job.safetensors",
        reference.SIZES,
        {**job, "x": x, "t": TIME, "pairs": PAIRS, "text": text},
    )
    return run_in_host(install, "host_cogvideox.py", folder)


@pytest.mark.host
@OPERATIONS
@pytest.mark.parametrize("kind", ["plain", "pairs", "lora"])
def test_predictions_agree(ours, theirs, operations, kind):
    a, b = theirs[f"{operations}.{kind}"], ours[kind]
    assert (a - b).abs().max() <= TOLERANCE * b.abs().max()
    assert (ours["pairs"] - ours["plain"]).abs().max() > 1e-2
    assert (ours["lora"] - ours["pairs"]).abs().max() > 1e-2


@pytest.mark.host
@OPERATIONS
def test_gradients_agree(ours, theirs, operations):
    keys = [key for key in ours if key.startswith("grad.")]
    assert len(keys) == 2 * (2 * 8 + 6)
    for key in keys:
        a, b = theirs[f"{operations}.{key}"], ours[key]
        assert (a - b).abs().max() <= TOLERANCE * b.abs().max()


@pytest.mark.host
@OPERATIONS
def test_the_hosts_model_comes_back_bit_for_bit(theirs, operations):
    assert torch.equal(theirs[f"{operations}.after"], theirs[f"{operations}.plain"])


def test_every_name_goes_there_and_back_and_the_targets_are_all_linear_layers():
    backbone = reference.small()
    every = [n for n, _ in backbone.module.named_parameters()]
    published = [backbone.published_name(name) for name in every]
    assert [COGVIDEOX_NAMES.to_diffusers(name) for name in published] == every
    linear = [n for n, m in backbone.module.named_modules() if isinstance(m, nn.Linear)]
    found = attach(backbone, rank=1, alpha=1).names
    assert sorted(found) == sorted(map(backbone.published_name, linear))
    assert all(map(COGVIDEOX_NAMES.is_linear, found))
    assert [COGVIDEOX_NAMES.from_flat(n.replace(".", "_")) for n in found] == [*found]
    assert names_of([f"diffusion_model.{found[0]}.lora_A.weight"]) is COGVIDEOX_NAMES
    assert names_of(["diffusion_model.blocks.0.self_attn.q.lora_A.weight"]) is not COGVIDEOX_NAMES


@pytest.mark.parametrize("layout", ["host", "diffusers"])
def test_loras_go_through_files_in_both_layouts(tmp_path, layout):
    backbone = reference.small()
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, seed=SEED)
    state = small_wan.filled(adapter.state(), 0.1)
    path = tmp_path / "x.safetensors"
    save_lora(path, state, alpha=ALPHA, metadata={}, layout=layout, dtype=torch.float32)
    lora = read_lora(path)
    assert lora.layout == layout
    assert set(lora.alpha.values()) == {ALPHA}
    assert lora.tensors.keys() == state.keys()
    assert all(torch.equal(lora.tensors[key], state[key]) for key in state)
    keys = load_file(path)
    if layout == "diffusers":  # as its own loader for this class spells them
        name = "transformer.transformer_blocks.0.attn1.to_out.0.lora_A.weight"
    else:
        name = "diffusion_model.blocks.0.attn_out.lora_A.weight"
    assert name in keys
