"""The host's Wan and diffusers' Wan are one model: same velocities, same LoRA, same gradients."""

from __future__ import annotations

import pytest
import small_wan
import torch
from host_side import run_in_host, write_job

from fvg_core.lora.adapter import attach
from fvg_core.tiny.export import transformer_to_host, wan_config

pytestmark = pytest.mark.host

RANK, ALPHA, SEED = 3, 6.0, 5
TOLERANCE = 1e-4  # of the largest value; two orders of summation differ by about 1e-6
OPERATIONS = ("disable_weight_init", "manual_cast")


@pytest.fixture(scope="module")
def ours() -> dict[str, torch.Tensor]:
    """What diffusers' implementation gives."""
    backbone = small_wan.backbone()
    given = small_wan.inputs()
    with torch.no_grad():
        out = {"plain": backbone.denoise(*given)}
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, seed=SEED)
    out |= {f"start.{key}": value for key, value in adapter.state().items()}
    adapter.load(small_wan.filled(adapter.state(), 0.1))
    velocity = backbone.denoise(*given)
    velocity.square().mean().backward()
    names = list(adapter.state())
    out |= {f"grad.{n}": p.grad for n, p in zip(names, adapter.parameters(), strict=True)}
    return {**out, "lora": velocity.detach()}


@pytest.fixture(scope="module")
def theirs(install, tmp_path_factory, ours) -> dict[str, torch.Tensor]:
    """What the host's implementation gives for the same weights, inputs and LoRA."""
    folder = tmp_path_factory.mktemp("parity")
    backbone = small_wan.backbone()
    x, sigma, text = small_wan.inputs()
    start = {k.removeprefix("start."): v for k, v in ours.items() if k.startswith("start.")}
    state = transformer_to_host(backbone.module.state_dict())
    job = {f"model.{key}": value for key, value in state.items()}
    job |= {f"lora.{key}": value for key, value in small_wan.filled(start, 0.1).items()}
    write_job(
        folder / "job.safetensors",
        wan_config(backbone.module.config),
        {**job, "x": x, "sigma": sigma, "text": text},
    )
    return run_in_host(install, "host_velocity.py", folder)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert (a - b).abs().max() <= TOLERANCE * b.abs().max()


@pytest.mark.parametrize("operations", OPERATIONS)
@pytest.mark.parametrize("kind", ["plain", "lora"])
def test_velocities_agree_at_per_frame_sigma(ours, theirs, operations, kind):
    close(theirs[f"{operations}.{kind}"], ours[kind])
    assert (ours["lora"] - ours["plain"]).abs().max() > 0.1


@pytest.mark.parametrize("operations", OPERATIONS)
def test_gradients_agree(ours, theirs, operations):
    keys = [key for key in ours if key.startswith("grad.")]
    assert len(keys) == 2 * 26
    for key in keys:
        close(theirs[f"{operations}.{key}"], ours[key])


@pytest.mark.parametrize("operations", OPERATIONS)
def test_one_seed_starts_the_same_lora_in_both(ours, theirs, operations):
    mark = f"{operations}.start."
    start = {k.removeprefix(mark): v for k, v in theirs.items() if k.startswith(mark)}
    expected = {k.removeprefix("start."): v for k, v in ours.items() if k.startswith("start.")}
    assert start.keys() == expected.keys()
    assert all(torch.equal(start[key], expected[key]) for key in expected)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_the_hosts_model_comes_back_bit_for_bit(theirs, operations):
    assert torch.equal(theirs[f"{operations}.ejected"], theirs[f"{operations}.plain"])
