"""Anchored sampling (paper, section 4.2 and Eq. 4) with solvers written here."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.anchor import AnchorPlan, anchored_x0, sample_euler
from fvg_core.flow import velocity_from_x0
from fvg_core.schedules import linear_sigmas

SHAPE = (2, 3, 4, 2, 2)
ANCHORS = {0: 0.0, 2: 0.0}  # latent frame -> noise


def normal(seed, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plan_with(anchors, z):
    plan = AnchorPlan.empty(*SHAPE)
    for frame, noise in anchors.items():
        plan = plan.with_anchor(frame, z[:, :, [frame]], noise)
    return plan


def network(x, sigma):
    """A smooth velocity that mixes frames and depends on every frame's sigma."""
    s = sigma[:, None, :, None, None]
    return torch.tanh(x + x.mean((2, 3, 4), keepdim=True)) * (1 + s) + s.sin()


def anchored(denoise, plan):
    """A velocity over plain latents that keeps the anchors, for any solver."""

    def velocity(x, sigma):
        return velocity_from_x0(x, anchored_x0(denoise, plan, x, sigma), sigma)

    return velocity


def euler(v, x, sigma, following):
    return x + (following - sigma) * v(x, sigma)


def heun(v, x, sigma, following):
    if following == 0:  # as in k-diffusion: there is no slope at sigma 0
        return euler(v, x, sigma, following)
    d = v(x, sigma)
    return x + (following - sigma) * (d + v(x + (following - sigma) * d, following)) / 2


def rk4(v, x, sigma, following):
    if following == 0:
        return euler(v, x, sigma, following)
    h, middle = following - sigma, (sigma + following) / 2
    k1 = v(x, sigma)
    k2 = v(x + h / 2 * k1, middle)
    k3 = v(x + h / 2 * k2, middle)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + v(x + h * k3, following))


def solve(step, velocity, x, sigmas):
    over_batch = lambda x, sigma: velocity(x, torch.full((x.shape[0],), sigma))
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        x = step(over_batch, x, sigma, following)
    return x


def last(states):
    return list(states)[-1].x


@pytest.mark.parametrize("step", [euler, heun, rk4])
@pytest.mark.parametrize("steps", [1, 4, 15])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_every_solver_keeps_the_anchors_without_a_pin(step, steps, shift):
    z = normal(0)
    plan = plan_with(ANCHORS, z)
    x = solve(step, anchored(network, plan), normal(1), linear_sigmas(steps, shift))
    held, free = [*ANCHORS], [1, 3]
    assert (x - z)[:, :, held].abs().max() <= 1e-6
    plain = solve(
        step, anchored(network, AnchorPlan.empty(*SHAPE)), normal(1), linear_sigmas(steps, shift)
    )
    assert (plain - z)[:, :, held].abs().max() > 0.1  # the anchors were not there by chance
    assert (x - plain)[:, :, free].abs().max() > 1e-3  # and the other frames saw them


def test_the_sampler_ends_bit_for_bit_on_its_anchors():
    z = normal(0)
    states = list(sample_euler(network, normal(1), linear_sigmas(7, 3.0), plan_with(ANCHORS, z)))
    assert torch.equal(states[-1].x[:, :, [*ANCHORS]], z[:, :, [*ANCHORS]])
    assert [s.step for s in states] == [*range(1, 8)]
    assert [s.sigma for s in states] == linear_sigmas(7, 3.0)[1:].tolist()


@pytest.mark.parametrize("anchors", [{}, ANCHORS, {3: 0.0}, {0: 0.2, 3: 0.0}])
def test_what_the_model_is_given_at_every_call(anchors):
    z, calls = normal(0), []

    def recorded(x, sigma):
        calls.append((x.clone(), sigma.clone()))
        return network(x, sigma)

    sigmas = linear_sigmas(5, 3.0)
    start = normal(1)
    states = list(sample_euler(recorded, start, sigmas, plan_with(anchors, z)))
    currents = [start, *(s.x for s in states)]
    assert len(calls) == 5
    for i, (x, t) in enumerate(calls):
        current = currents[i]
        for f in range(SHAPE[2]):
            if f in anchors:
                m = anchors[f]
                torch.testing.assert_close(t[:, f], torch.full((2,), m * float(sigmas[i])))
                expected = (1 - m) * z[:, :, f] + m * current[:, :, f]
                torch.testing.assert_close(x[:, :, f], expected)
            else:
                assert (t[:, f] == sigmas[i]).all()
                assert torch.equal(x[:, :, f], current[:, :, f])
            if anchors.get(f) == 0:
                assert torch.equal(x[:, :, f], z[:, :, f])
                assert (t[:, f] == 0).all()


def test_equation_4_as_a_loop():
    """Section 4.2, word by word: put the anchor in, give it time 0, step along the velocity."""
    z, sigmas = normal(0), linear_sigmas(15, 5.0)
    x = normal(1)
    for t, t_next in itertools.pairwise(sigmas):
        x = x.clone()
        x[:, :, 0] = z[:, :, 0]
        t_vec = t.repeat(SHAPE[0], SHAPE[2])
        t_vec[:, 0] = 0
        x = x - (t - t_next) * network(x, t_vec)
    x[:, :, 0] = z[:, :, 0]
    ours = last(sample_euler(network, normal(1), sigmas, plan_with({0: 0.0}, z)))
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 60), st.floats(0.5, 12), st.integers(0, 2**32 - 1))
def test_a_straight_line_is_integrated_exactly_in_any_number_of_steps(steps, shift, seed):
    z0, eps = normal(seed), normal(seed + 1)
    out = last(
        sample_euler(
            lambda x, s: eps - z0, eps, linear_sigmas(steps, shift), AnchorPlan.empty(*SHAPE)
        )
    )
    torch.testing.assert_close(out, z0, rtol=0, atol=2e-5)


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.7])
def test_a_perfect_model_also_finishes_a_softened_anchor(noise):
    z0, eps = normal(0), normal(1)
    plan = plan_with({0: noise}, z0)
    out = last(sample_euler(lambda x, s: eps - z0, eps, linear_sigmas(9, 3.0), plan))
    torch.testing.assert_close(out, z0, rtol=0, atol=2e-5)


def test_without_anchors_the_velocity_is_the_models():
    x, sigma = normal(0), torch.tensor([0.3, 0.9])
    velocity = anchored(network, AnchorPlan.empty(*SHAPE))(x, sigma)
    torch.testing.assert_close(velocity, network(x, sigma[:, None].expand(-1, SHAPE[2])))


def test_euler_converges_with_order_one():
    # dx/dsigma = a x from sigma 1 to 0: x(0) = x(1) exp(-a).
    a, x = 0.7, normal(0).double()
    plan = AnchorPlan.empty(*SHAPE).to(x)

    def error(steps):
        sigmas = linear_sigmas(steps, 1.0).double()
        out = last(sample_euler(lambda x, s: a * x, x, sigmas, plan))
        return float((out - x * torch.tensor(-a).exp()).abs().max())

    assert error(64) / error(128) == pytest.approx(2, rel=0.05)
