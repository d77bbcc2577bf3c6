"""Flow and v-prediction as one interface; v-prediction against diffusers' own scheduler."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.process import FLOW, TIMESTEPS, V_PREDICTION, alpha_bar

PROCESSES = pytest.mark.parametrize("process", [FLOW, V_PREDICTION], ids=["flow", "v"])
SHAPE = (2, 3, 4, 2, 2)


def normal(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def scheduler():
    """With CogVideoX 1.5's settings (diffusers scripts/convert_cogvideox_to_diffusers.py; SNR is
    not shifted in the 5B)."""
    from diffusers import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        snr_shift_scale=1.0,
        timestep_spacing="trailing",
    )


@PROCESSES
@pytest.mark.parametrize("t", [0.0005, 0.3, 0.9995])
def test_the_target_leads_back_to_the_clean_latent(process, t):
    z0, eps, t = normal(0), normal(1), torch.full((2,), t, dtype=torch.float64)
    x = process.add_noise(z0, eps, t)
    torch.testing.assert_close(process.x0(x, process.target(z0, eps, t), t), z0)


@PROCESSES
def test_a_step_moves_along_one_clip_and_one_noise(process):
    z0, eps = normal(0), normal(1)
    t, to = (torch.tensor(v, dtype=torch.float64) for v in (0.8, 0.35))
    at = lambda s: process.add_noise(z0, eps, s.expand(2))
    torch.testing.assert_close(process.step(at(t), z0, t, to), at(to))
    torch.testing.assert_close(process.step(at(t), z0, t, torch.zeros_like(t)), z0)


@PROCESSES
def test_clean_frames_are_the_latent_itself_and_may_stand_beside_noisy_ones(process):
    z0, eps = normal(0), normal(1)
    t = torch.tensor([[0.0, 0.5, 0.5, 0.0], [0.9, 0.9, 0.0, 0.9]], dtype=torch.float64)
    x = process.add_noise(z0, eps, t)
    for b, f in t.eq(0).nonzero().tolist():
        assert torch.equal(x[b, :, f], z0[b, :, f])
    whole = process.add_noise(z0, eps, torch.full((2,), 0.9, dtype=torch.float64))
    assert torch.equal(x[1, :, [0, 1, 3]], whole[1, :, [0, 1, 3]])


def test_alpha_bar_is_the_schedulers_but_for_the_last(scheduler):
    theirs = scheduler.alphas_cumprod.double()
    torch.testing.assert_close(alpha_bar()[:-1], theirs[:-1], rtol=1e-6, atol=1e-9)
    assert theirs[-1] == 0
    assert 0 < alpha_bar()[-1] < 1e-7


@pytest.mark.parametrize("timestep", [0, 1, 437, 998])
def test_noise_and_target_are_the_schedulers(scheduler, timestep):
    z0, eps = normal(0), normal(1)
    t = V_PREDICTION.times(torch.tensor([timestep] * 2)).double()
    given = torch.tensor([timestep] * 2)
    x, v = V_PREDICTION.add_noise(z0, eps, t), V_PREDICTION.target(z0, eps, t)
    torch.testing.assert_close(x, scheduler.add_noise(z0, eps, given), rtol=0, atol=1e-6)
    torch.testing.assert_close(v, scheduler.get_velocity(z0, eps, given), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [50, 15, 8])
def test_sampling_is_diffusers_ddim(scheduler, steps):
    """From the same noise with the same stand-in for a network, at its own trailing timesteps."""
    network = lambda x, t: 0.3 * x.flip(2) + 0.001 * t
    scheduler.set_timesteps(steps)
    theirs = normal(2)
    for t in scheduler.timesteps:
        theirs = scheduler.step(network(theirs, t), t, theirs, return_dict=False)[0]
    times = V_PREDICTION.schedule(steps, shift=1.0).double()
    assert V_PREDICTION.timestep(times[:-1]).tolist() == scheduler.timesteps.tolist()
    x = normal(2)
    for t, to in itertools.pairwise(times):
        v = network(x, V_PREDICTION.timestep(t))
        x = V_PREDICTION.step(x, V_PREDICTION.x0(x, v, t.expand(2)), t, to)
    # DDIM looks a fixed number of timesteps back; ours steps to the next one of the list.
    torch.testing.assert_close(x, theirs, rtol=0, atol=1e-3 if TIMESTEPS % steps == 0 else 0.1)


@given(st.floats(0, 1, width=32))
def test_every_time_has_a_timestep_and_a_uniform_time_a_uniform_one(t):
    timestep = int(V_PREDICTION.timestep(torch.tensor(t)))
    assert 0 <= timestep < TIMESTEPS
    assert abs(timestep - t * TIMESTEPS) <= 1


def test_times_and_timesteps_go_there_and_back():
    every = torch.arange(TIMESTEPS)
    times = V_PREDICTION.times(every)
    assert V_PREDICTION.timestep(times).tolist() == every.tolist()
    assert (times > 0).all()
    assert V_PREDICTION.times(torch.tensor([-1])) == 0
