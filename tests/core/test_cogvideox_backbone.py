"""A timestep for every pair of CogVideoX, against a reference in plain tensors."""

from __future__ import annotations

import cogvideox_reference as reference
import pytest
import torch

from fvg_core.backbones.tokenwise import flat_timesteps, tokenwise


@pytest.fixture(scope="module")
def backbone():
    return reference.small()


def weights(backbone):
    return backbone.module.state_dict()


@torch.no_grad()
def test_the_reference_is_diffusers_model_at_one_timestep(backbone):
    """With its own forward, untouched."""
    x, _, text = reference.inputs()
    t = torch.tensor([731.0, 250.0])
    theirs = reference.network()(
        x.transpose(1, 2), text, t, image_rotary_emb=backbone._rotary(x), return_dict=False
    )[0]
    plain = reference.predict(weights(backbone), x, t[:, None].expand(2, 3), t, text)
    torch.testing.assert_close(theirs.transpose(1, 2), plain, rtol=0, atol=1e-4)
    assert plain.std() > 0.1


@torch.no_grad()
def test_every_pair_has_its_own_timestep_and_the_text_the_clips(backbone):
    x, times, text = reference.inputs()
    pairs = torch.tensor([[0.0, 700, 700], [300, 300, 0]])
    plain = reference.predict(weights(backbone), x, pairs, torch.tensor([700.0, 300]), text)
    ours = backbone.denoise(x, times, text)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4)
    shared = backbone.denoise(x, times.amax(1, keepdim=True).expand(-1, 6), text)
    assert (shared - plain).abs().max() > 1e-2  # the clean pair's timestep matters
    lonely = reference.predict(weights(backbone), x, pairs, torch.zeros(2), text)
    assert (lonely - plain).abs().max() > 1e-3  # and so does the text's


@torch.no_grad()
def test_a_model_is_left_as_it_was_also_after_an_error():
    module = reference.network()
    before = [dict(m.__dict__) for m in module.modules()]
    x, _, text = reference.inputs()
    t = torch.tensor([731.0, 250.0])
    forward = lambda times: module(x.transpose(1, 2), text, times, return_dict=False)[0]
    plain = forward(t)
    with tokenwise(module.transformer_blocks, module.norm_out):
        same = forward(flat_timesteps(t, t[:, None].expand(2, 3)))
        torch.testing.assert_close(same, plain, rtol=0, atol=1e-5)
        torch.testing.assert_close(forward(t), plain, rtol=0, atol=1e-5)
    with pytest.raises(KeyError), tokenwise(module.transformer_blocks, module.norm_out):
        raise KeyError
    assert [m.__dict__.keys() for m in module.modules()] == [d.keys() for d in before]
    assert torch.equal(forward(t), plain)
