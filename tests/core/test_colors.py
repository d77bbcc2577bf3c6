"""Matching colours to the first frame, by closed forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.colors import MOST, match_first_frame
from fvg_core.errors import SizeError


def clip(seed: int, frames: int = 4) -> torch.Tensor:
    """The same picture in changing light."""
    generator = torch.Generator().manual_seed(seed)
    first = 0.3 + 0.3 * torch.rand(1, 8, 6, 3, generator=generator)
    light = 0.7 + 0.6 * torch.rand(frames, 1, 1, 3, generator=generator)
    tint = 0.1 * torch.rand(frames, 1, 1, 3, generator=generator)
    return torch.cat([first, first * light[1:] + tint[1:]])


@given(st.integers(0, 1000))
def test_a_change_of_light_is_undone(seed):
    frames = clip(seed)
    matched = match_first_frame(frames)
    assert torch.equal(matched[0], frames[0])
    torch.testing.assert_close(matched, frames[:1].expand_as(frames), rtol=0, atol=1e-5)


def test_the_strength_is_the_share_of_the_way():
    frames = clip(1)
    half = match_first_frame(frames, 0.5)
    torch.testing.assert_close(half, (frames + match_first_frame(frames)) / 2)
    assert torch.equal(match_first_frame(frames, 0.0), frames)


def test_every_video_of_a_batch_follows_its_own_first_frame():
    a, b = clip(2), clip(3)
    both = match_first_frame(torch.cat([a, b]), videos=2)
    assert torch.equal(both, torch.cat([match_first_frame(a), match_first_frame(b)]))


def test_a_fade_stays_a_fade():
    frames = clip(4, 2)
    frames[1] = 0.2 + 0.01 * frames[0]  # a hundredth of the contrast
    matched = match_first_frame(frames)
    deviation = lambda frame: frame.std((0, 1))  # of each channel
    assert (deviation(matched[1]) <= 1.001 * MOST * deviation(frames[1])).all()
    flat = torch.full((2, 4, 4, 3), 0.5)
    assert torch.equal(match_first_frame(flat), flat)


def test_frames_that_are_not_so_many_videos():
    with pytest.raises(SizeError, match=r"4 frames cannot be 3 videos.*batch_size"):
        match_first_frame(clip(5), videos=3)
