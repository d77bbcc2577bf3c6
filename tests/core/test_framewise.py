"""Timesteps by frame against diffusers' own forward, which takes them by token."""

from __future__ import annotations

import pytest
import torch

from fvg_core.backbones.framewise import framewise, take_frames

SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "text_dim": 8,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
}


def wan(patch=(1, 2, 2)):
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    return WanTransformer3DModel(**SIZES, patch_size=patch).eval()


def inputs():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 16, 4, 8, 6, generator=generator)
    return x, torch.randn(2, 5, 8, generator=generator)


def gradients(model, velocity):
    velocity.square().mean().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("patch", [(1, 2, 2), (2, 2, 1)])
def test_a_timestep_for_each_frame_is_one_for_each_of_its_tokens(patch):
    model, (x, text) = wan(patch), inputs()
    frames = 4 // patch[0]
    timestep = torch.tensor([[0.0, 700.0, 650.0, 3.0], [300.0, 0.0, 0.0, 999.0]])[:, :frames]
    tokens = timestep.repeat_interleave(8 // patch[1] * 6 // patch[2], dim=1)
    theirs = model(x, tokens, text, return_dict=False)[0]
    expected = gradients(model, theirs)
    for block in model.blocks:
        take_frames(block)
    ours = framewise(model, x, timestep, text)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(model, ours).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("per_token", [True, False])
def test_the_models_own_forward_stays_what_it_was(per_token):
    model, (x, text) = wan(), inputs()
    timestep = torch.tensor([700.0, 20.0])
    if per_token:
        timestep = torch.linspace(0, 999, 2 * 48).view(2, 48)
    before = model(x, timestep, text, return_dict=False)[0]
    for block in model.blocks:
        take_frames(block)
    after = model(x, timestep, text, return_dict=False)[0]
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
