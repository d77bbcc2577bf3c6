"""Sigma schedules against their closed form and against diffusers' scheduler."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.schedules import is_high_noise, linear_sigmas, shift_sigma, unshift_sigma

SHIFTS = st.floats(0.05, 50)
SIGMAS = st.floats(0, 1)
STEPS = st.integers(1, 100)


def double(x):
    return torch.tensor(x, dtype=torch.float64)


@given(SIGMAS, SHIFTS)
def test_unshift_undoes_shift(sigma, shift):
    torch.testing.assert_close(
        unshift_sigma(shift_sigma(double(sigma), shift), shift), double(sigma)
    )


@given(SIGMAS, SHIFTS, SHIFTS)
def test_shifts_multiply(sigma, a, b):
    # Esser et al. 2024: a shift scales the ratio sigma / (1 - sigma) of noise to signal.
    twice = shift_sigma(shift_sigma(double(sigma), a), b)
    torch.testing.assert_close(twice, shift_sigma(double(sigma), a * b))


@given(st.floats(0.001, 0.999), SHIFTS)
def test_a_shift_scales_noise_over_signal(sigma, shift):
    shifted = float(shift_sigma(double(sigma), shift))
    assert shifted / (1 - shifted) == pytest.approx(shift * sigma / (1 - sigma), rel=1e-9)


@given(STEPS, SHIFTS)
def test_a_schedule_falls_from_one_to_zero(steps, shift):
    sigmas = linear_sigmas(steps, shift)
    assert sigmas.shape == (steps + 1,)
    assert sigmas.dtype == torch.float32
    assert sigmas[0] == 1
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


@given(STEPS, st.floats(1.01, 50))
def test_a_shift_above_one_stays_near_noise(steps, shift):
    assert (linear_sigmas(steps, shift) >= linear_sigmas(steps, 1) - 1e-6).all()


@given(STEPS)
def test_without_a_shift_the_steps_are_even(steps):
    expected = [1 - i / steps for i in range(steps + 1)]
    torch.testing.assert_close(linear_sigmas(steps, 1), torch.tensor(expected))


@pytest.mark.parametrize("steps", [1, 2, 15, 40, 50])
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 8.0, 12.0])
def test_diffusers_has_the_same_sigmas(steps, shift):
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1])
    torch.testing.assert_close(linear_sigmas(steps, shift), scheduler.sigmas)


@pytest.mark.parametrize("boundary", [0.875, 0.9])
def test_the_high_noise_expert_works_down_to_the_boundary_itself(boundary):
    # Wan2.2 wan/text2video.py: t >= boundary * 1000.
    assert is_high_noise(1.0, boundary)
    assert is_high_noise(float(torch.tensor(boundary)), boundary)  # as a float32 schedule has it
    assert not is_high_noise(boundary - 1e-3, boundary)
    assert not is_high_noise(0.0, boundary)
