"""Pixel and latent frames: a bijection, a real causal VAE as oracle, and errors that help."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.errors import AnchorError, SizeError
from fvg_core.frames import check_size, latent_frame, latent_length

STRIDES = st.integers(1, 8)


def chunks(length, stride):
    """Pixel frames of every latent frame, as a causal encoder walks a clip: 1, then strides."""
    frames = list(range(length))
    return [frames[:1]] + [frames[i : i + stride] for i in range(1, length, stride)]


@given(st.integers(0, 60), STRIDES)
def test_latent_frames_partition_the_clip(n, stride):
    length = 1 + stride * n
    expected = chunks(length, stride)
    assert latent_length(length, stride) == len(expected)
    for j, members in enumerate(expected):
        assert {latent_frame(p, length, stride) for p in members} == {j}


@given(st.integers(0, 60), STRIDES, st.data())
def test_negative_frames_count_from_the_end(n, stride, data):
    length = 1 + stride * n
    p = data.draw(st.integers(0, length - 1))
    assert latent_frame(p - length, length, stride) == latent_frame(p, length, stride)


def test_the_last_frame():
    assert latent_frame(-1, 81, 4) == latent_length(81, 4) - 1 == 20


@given(st.integers(1, 200), STRIDES)
def test_frames_outside_the_clip_are_refused(length, stride):
    for frame in (length, -length - 1):
        with pytest.raises(AnchorError, match=rf"frame {frame} .* {length} frames.*{length - 1}"):
            latent_frame(frame, length, stride)


@given(st.integers(-50, 500), st.integers(2, 8))
def test_the_nearest_valid_lengths_are_named(length, stride):
    valid = range(1, 1000, stride)
    if length in valid:
        assert latent_length(length, stride) == valid.index(length) + 1
        return
    with pytest.raises(SizeError, match=f"length is {length} frames") as raised:
        latent_length(length, stride)
    named = re.search(r"lengths are (\d+) and (\d+)", str(raised.value))
    assert [int(n) for n in named.groups()] == sorted(
        sorted(valid, key=lambda v: abs(v - length))[:2]
    )


@given(st.integers(-50, 500), st.integers(2, 32))
def test_the_nearest_valid_sizes_are_named(value, multiple):
    valid = range(multiple, 1000, multiple)
    for name, size in (("width", (value, multiple)), ("height", (multiple, value))):
        if value in valid:
            check_size(*size, multiple)
            continue
        with pytest.raises(SizeError, match=f"{name} is {value} pixels") as raised:
            check_size(*size, multiple)
        named = {int(n) for n in re.findall(r"\d+", str(raised.value).split("nearest valid:")[1])}
        around = {v for v in valid if abs(v - value) < multiple} or {multiple}
        assert named == around


def test_a_causal_vae_counts_the_same_frames():
    vae = _small_vae()
    for length in (1, 5, 9, 13):
        assert _encode(vae, torch.zeros(1, 3, length, 16, 16)).shape[2] == latent_length(length, 4)


@pytest.mark.parametrize("changed", range(9))
def test_a_causal_vae_sees_a_pixel_frame_in_its_latent_frame_and_not_before(changed):
    vae = _small_vae()
    clip = torch.zeros(1, 3, 9, 16, 16)
    other = clip.clone()
    other[:, :, changed] = 1
    difference = (_encode(vae, clip) - _encode(vae, other)).abs().amax((0, 1, 3, 4))
    assert difference.gt(0).nonzero()[0] == latent_frame(changed, 9, 4)


def _small_vae():
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(base_dim=4, z_dim=4, num_res_blocks=1).eval()


@torch.no_grad()
def _encode(vae, clip):
    return vae.encode(clip).latent_dist.mean
