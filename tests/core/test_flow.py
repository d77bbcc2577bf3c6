"""The forward process and its velocity: round trips, per-frame sigmas, Eq. 1 by differentiation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.flow import (
    add_noise,
    per_frame,
    uniform_time,
    velocity,
    velocity_from_x0,
    x0_from_velocity,
)

SHAPES = st.tuples(*(st.integers(1, 3),) * 5)
SEEDS = st.integers(0, 2**32 - 1)


def draw(shape, seed, frames=True):
    """z0, eps [B, C, F, H, W] and sigma [B, F] or [B] in [0.05, 1], double precision."""
    g = torch.Generator().manual_seed(seed)
    z0, eps = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
    size = (shape[0], shape[2]) if frames else (shape[0],)
    return z0, eps, torch.rand(size, generator=g, dtype=torch.float64) * 0.95 + 0.05


@given(SHAPES, SEEDS, st.booleans())
def test_the_velocity_leads_back_to_the_clean_latent(shape, seed, frames):
    z0, eps, sigma = draw(shape, seed, frames)
    x = add_noise(z0, eps, sigma)
    torch.testing.assert_close(x0_from_velocity(x, velocity(z0, eps), sigma), z0)
    torch.testing.assert_close(velocity_from_x0(x, z0, sigma), velocity(z0, eps))


@given(SHAPES, SEEDS, st.booleans())
def test_x0_and_velocity_are_two_views_of_one_prediction(shape, seed, frames):
    x, v, sigma = draw(shape, seed, frames)
    torch.testing.assert_close(velocity_from_x0(x, x0_from_velocity(x, v, sigma), sigma), v)


@given(SHAPES, SEEDS)
def test_each_frame_has_its_own_sigma(shape, seed):
    z0, eps, sigma = draw(shape, seed)
    x = add_noise(z0, eps, sigma)
    for b in range(shape[0]):
        for f in range(shape[2]):
            s = float(sigma[b, f])
            torch.testing.assert_close(x[b, :, f], (1 - s) * z0[b, :, f] + s * eps[b, :, f])


@given(SHAPES, SEEDS)
def test_one_sigma_for_a_clip_is_the_same_sigma_for_every_frame(shape, seed):
    z0, eps, sigma = draw(shape, seed, frames=False)
    spread = sigma[:, None].expand(-1, shape[2])
    assert torch.equal(add_noise(z0, eps, sigma), add_noise(z0, eps, spread))


def test_the_ends_are_exact():
    z0, eps, _ = draw((2, 3, 4, 2, 2), 0)
    assert torch.equal(add_noise(z0, eps, torch.zeros(2, 4)), z0)
    assert torch.equal(add_noise(z0, eps, torch.ones(2, 4)), eps)


def test_the_velocity_is_the_derivative_of_the_forward_process():
    # Eq. 1 with tau = 1 - sigma: d z / d tau = z0 - eps, hence d z / d sigma = eps - z0.
    z0, eps, sigma = draw((2, 3, 4, 2, 2), 1)
    _, slope = torch.func.jvp(lambda s: add_noise(z0, eps, s), (sigma,), (torch.ones_like(sigma),))
    torch.testing.assert_close(velocity(z0, eps), slope)


@pytest.mark.parametrize("ndim", [4, 5])
def test_sigma_broadcasts_over_latents(ndim):
    assert per_frame(torch.zeros(2), ndim).shape == (2, 1, 1, *(1,) * (ndim - 3))
    assert per_frame(torch.zeros(2, 5), ndim).shape == (2, 1, 5, *(1,) * (ndim - 3))


def test_uniform_time_fills_the_unit_interval_and_repeats_with_its_generator():
    t = uniform_time(20_000, torch.Generator().manual_seed(0))
    assert torch.equal(t, uniform_time(20_000, torch.Generator().manual_seed(0)))
    assert t.shape == (20_000,)
    assert ((t >= 0) & (t < 1)).all()
    counts = torch.histc(t, bins=10, min=0, max=1)
    assert (counts - 2000).abs().max() < 6 * (20_000 * 0.1 * 0.9) ** 0.5  # six deviations
