"""Wan 2.2 5B and the image-to-video models: the host's transformer and diffusers' give the same
velocities for the same weights and inputs."""

from __future__ import annotations

import pytest
import small_wan
import torch
from host_side import run_in_host, write_job

from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.tiny.export import transformer_to_host, wan_config

pytestmark = pytest.mark.host

TOLERANCE = 1e-4  # of the largest value
CLIP = 1280
FAMILIES = ("5B", "I2V 2.1", "I2V 2.2")


def model(family: str) -> torch.nn.Module:
    from diffusers import WanTransformer3DModel

    channels = {"5B": (48, 48)}.get(family, (36, 16))
    seen = {"image_dim": CLIP, "added_kv_proj_dim": 24} if family == "I2V 2.1" else {}
    torch.manual_seed(0)
    sizes = {**small_wan.SIZES, "in_channels": channels[0], "out_channels": channels[1], **seen}
    return WanTransformer3DModel(**sizes).eval()


def given(family: str) -> dict[str, torch.Tensor]:
    """The host's arguments. 5B: a clean frame in each clip; the others: one time for a clip."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    if family == "5B":
        x, sigma, text = small_wan.inputs(48)
        return {"x": x, "timestep": sigma * 1000, "context": text}
    out = {"x": draw(2, 36, 3, 8, 6), "timestep": torch.tensor([700.0, 40.0])}
    out["context"] = draw(2, 512, 8)  # the length that diffusers takes the text to have
    return out | ({"clip_fea": draw(2, 257, CLIP)} if family == "I2V 2.1" else {})


def by_diffusers(module: torch.nn.Module, x, timestep, context, clip_fea=None) -> torch.Tensor:
    with torch.no_grad():
        if timestep.ndim == 2:
            return DiffusersWan(module).denoise(x, timestep / 1000, context)
        seen = {} if clip_fea is None else {"encoder_hidden_states_image": clip_fea}
        return module(x, timestep, context, **seen, return_dict=False)[0]


@pytest.fixture(scope="module")
def by_host(install, tmp_path_factory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        module = model(family)
        sizes = wan_config(module.config)
        if family == "I2V 2.1":
            sizes["model_type"] = "i2v"
        state = transformer_to_host(module.state_dict())
        job = {f"model.{key}": value for key, value in state.items()}
        job |= {f"given.{key}": value for key, value in given(family).items()}
        write_job(folder / f"{family}.safetensors", sizes, job)
    return run_in_host(install, "host_families.py", folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_velocities_agree(by_host, family):
    arguments = given(family)
    ours = by_diffusers(model(family), **arguments)
    error = (by_host[family] - ours).abs().max()
    assert error <= TOLERANCE * ours.abs().max()
    assert ours.abs().max() > 0.1
    if "clip_fea" in arguments:  # the picture is looked at
        arguments["clip_fea"] = -arguments["clip_fea"]
        assert (by_diffusers(model(family), **arguments) - ours).abs().max() > 1e-3
