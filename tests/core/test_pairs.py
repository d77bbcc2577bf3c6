"""Latent frames that share a token: who stands with whom, with and without one in front."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.pairs import missing_in_front, noise_with_front, together, token_times, with_front

LENGTHS, PATCHES = st.integers(1, 30), st.integers(1, 3)


@given(LENGTHS, PATCHES)
def test_a_clip_becomes_whole_tokens_by_copies_of_its_first_frame(frames, patch):
    z = torch.arange(frames).float().view(1, 1, frames, 1, 1)
    out = with_front(z, patch)
    missing = missing_in_front(frames, patch)
    assert out.shape[2] % patch == 0
    assert 0 <= missing < patch
    assert out.flatten().tolist() == [0] * missing + [*range(frames)]


@given(LENGTHS, PATCHES)
def test_tokens_divide_the_clip(frames, patch):
    groups = [together(k, frames, patch) for k in range(frames)]
    assert all(k in group and group[-1] < frames for k, group in enumerate(groups))
    assert [f for g in sorted(set(groups), key=lambda g: g[0]) for f in g] == [*range(frames)]
    assert together(-1, frames, patch) == groups[-1]


def test_the_first_picture_of_81_frames_is_a_pair_of_its_own():
    # 21 latent frames, as CogVideoX 1.5 was trained: the first is given twice.
    assert [*together(0, 21, 2)] == [0]
    assert [*together(1, 21, 2)] == [*together(2, 21, 2)] == [1, 2]
    assert [*together(20, 21, 2)] == [19, 20]
    assert [*together(0, 22, 2)] == [0, 1]


def test_a_token_is_as_clean_as_its_noisiest_frame():
    t = torch.tensor([[0.0, 0.0, 0.0, 0.7, 0.7, 0.7]])
    assert token_times(t, 2).tolist() == torch.tensor([[0, 0.7, 0.7]]).tolist()
    assert torch.equal(token_times(t, 1), t)


def test_the_frame_in_front_has_noise_of_its_own():
    draw = lambda seed: torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(seed))
    noise = noise_with_front(draw(7), 2, seed=7)
    assert noise.shape[2] == 6
    assert torch.equal(noise[:, :, 1:], draw(7))
    front = noise[:, :, :1]
    assert torch.equal(front, noise_with_front(draw(7), 2, seed=7)[:, :, :1])
    for other in (noise_with_front(draw(7), 2, seed=8)[:, :, :1], *noise[:, :, 1:].split(1, 2)):
        both = torch.stack([front.flatten(), other.flatten()])
        assert torch.corrcoef(both)[0, 1].abs() < 0.5
    assert not noise_with_front(torch.zeros(1, 3, 5, 4, 4), 2, seed=7).any()  # a run goes on
    assert torch.equal(noise_with_front(noise, 2, seed=7), noise)
