"""Algorithm 1 against its own lines."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.anchor import AnchorPlan
from fvg_core.train.algorithm import (
    Draw,
    counted,
    draw,
    draw_anchors,
    draw_time,
    losses,
    sigma_range,
)
from fvg_core.train.config import Algorithm

SHAPE = (1, 3, 4, 2, 2)
DRAWS = 4000


def latents(seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, *SHAPE[1:], generator=torch.Generator().manual_seed(seed))


def drawn(anchors: tuple[int, ...], t: float = 0.7, batch: int = 1) -> Draw:
    mask = torch.ones(batch, 1, *SHAPE[2:])
    mask[:, :, list(anchors)] = 0
    return Draw(torch.full((batch,), t), latents(1, batch), AnchorPlan(latents(0, batch), mask))


def test_the_model_is_given_the_lines_of_algorithm_1():
    d, seen = drawn((1,)), {}

    def model(x, sigma):
        seen.update(x=x, sigma=sigma)
        return torch.zeros_like(x)

    losses(model, d, d.plan.mask)
    z0, eps = d.plan.clean, d.eps
    for j in range(SHAPE[2]):
        if j == 1:
            assert torch.equal(seen["x"][:, :, j], z0[:, :, j])  # l. 8
            assert seen["sigma"][0, j] == 0  # l. 9
        else:
            mixed = (1 - 0.7) * z0[:, :, j] + 0.7 * eps[:, :, j]  # l. 11
            torch.testing.assert_close(seen["x"][:, :, j], mixed)
            assert seen["sigma"][0, j] == pytest.approx(0.7)  # l. 12


@pytest.mark.parametrize("anchor_loss", ["masked", "paper"])
def test_a_model_that_knows_the_velocity_has_no_loss(anchor_loss):
    d = drawn((2,))
    loss = losses(lambda x, s: d.eps - d.plan.clean, d, counted(d, anchor_loss))
    assert loss.abs().max() < 1e-12


def test_the_anchor_counts_in_the_paper_s_loss_only():
    d = drawn((0,))
    wrong_at_anchor = lambda x, s: (d.eps - d.plan.clean) + 2.0 * (1 - d.plan.mask)
    assert losses(wrong_at_anchor, d, counted(d, "masked")).item() == pytest.approx(0, abs=1e-12)
    # One of four frames is wrong by 2: a mean square of 4 / 4.
    assert losses(wrong_at_anchor, d, counted(d, "paper")).item() == pytest.approx(1)


def test_the_masked_loss_is_renormalised():
    wrong_everywhere = lambda d: lambda x, s: (d.eps - d.plan.clean) + 3.0
    for anchors in ((), (0,), (0, 1, 3)):
        d = drawn(anchors)
        assert losses(wrong_everywhere(d), d, counted(d, "masked")).item() == pytest.approx(9)


def test_every_sample_has_its_own_loss():
    d = drawn((1,), batch=3)
    off = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1, 1)
    loss = losses(lambda x, s: d.eps - d.plan.clean + off, d, d.plan.mask)
    torch.testing.assert_close(loss, torch.tensor([0.0, 1.0, 4.0]))


def shares(config: Algorithm, frames: int) -> tuple[list[float], float]:
    """How often each frame is an anchor, and how often none is."""
    gen = torch.Generator().manual_seed(0)
    found = [draw_anchors(frames, config, gen) for _ in range(DRAWS)]
    counts = [sum(k in f for f in found) / DRAWS for k in range(frames)]
    return counts, sum(not f for f in found) / DRAWS


def test_k_is_uniform_over_all_frames():
    counts, none = shares(Algorithm(unanchored_share=0), 5)
    assert none == 0
    assert counts == pytest.approx([0.2] * 5, abs=0.03)  # l. 1


def test_the_first_frame_and_no_anchor_have_their_shares():
    counts, none = shares(Algorithm(unanchored_share=0.1, first_frame_share=0.5), 5)
    assert none == pytest.approx(0.1, abs=0.02)
    assert counts[0] == pytest.approx(0.9 * (0.5 + 0.5 / 5), abs=0.03)
    assert counts[1:] == pytest.approx([0.9 * 0.5 / 5] * 4, abs=0.03)


@given(st.integers(2, 9), st.integers(1, 12), st.integers(0, 2**31))
def test_several_anchors_leave_a_frame_to_make(frames, most, seed):
    config = Algorithm(unanchored_share=0, max_anchors=most)
    found = draw_anchors(frames, config, torch.Generator().manual_seed(seed))
    assert 1 <= len(found) <= min(most, frames - 1)
    assert found == sorted(set(found))
    assert 0 <= found[0] <= found[-1] < frames


def density(name: str, u: torch.Tensor, **more) -> torch.Tensor:
    return draw_time(u, Algorithm(time_density=name), **more)


@pytest.mark.parametrize("name", ["uniform", "shifted", "logit_normal"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.875, 1.0), (0.0, 0.875)])
def test_times_keep_to_their_range_and_grow_with_u(name, low, high):
    t = density(name, torch.linspace(0, 1, 1001), low=low, high=high)
    assert t.min() >= low - 1e-6
    assert t.max() <= high + 1e-6
    assert t[0].item() == pytest.approx(low, abs=1e-6)
    assert t[-1].item() == pytest.approx(high, abs=1e-6)
    assert (t.diff() >= 0).all()


def test_medians_of_the_densities():
    half = torch.tensor([0.5])
    assert density("uniform", half).item() == pytest.approx(0.5)
    assert density("shifted", half).item() == pytest.approx(5 * 0.5 / (1 + 4 * 0.5))
    assert density("logit_normal", half).item() == pytest.approx(0.5)
    # One standard deviation above: the 84.13th percentile is sigmoid(1).
    above = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert density("logit_normal", torch.tensor([above])).item() == pytest.approx(
        1 / (1 + math.exp(-1)), abs=1e-6
    )


@given(st.floats(0, 1), st.sampled_from(["uniform", "shifted", "logit_normal"]))
@settings(deadline=None)
def test_the_two_experts_share_the_density(u, name):
    """Cutting a density at the boundary and putting the parts together gives it back."""
    config = Algorithm(time_density=name)
    whole = draw_time(torch.tensor([u], dtype=torch.float64), config).item()
    grid = draw_time(torch.linspace(0, 1, 20001, dtype=torch.float64), config)
    share_low = (grid < 0.875).double().mean().item()
    low, high = sigma_range("low", 0.875), sigma_range("high", 0.875)
    if u < share_low:
        part = draw_time(torch.tensor([u / share_low], dtype=torch.float64), config, *low)
    else:
        inside = (u - share_low) / (1 - share_low)
        part = draw_time(torch.tensor([inside], dtype=torch.float64), config, *high)
    assert part.item() == pytest.approx(whole, abs=2e-3)


def test_a_draw_depends_on_its_generator_alone():
    one, two, other = (
        draw(latents(), Algorithm(), torch.Generator().manual_seed(s)) for s in (3, 3, 4)
    )
    assert torch.equal(one.eps, two.eps)
    assert torch.equal(one.t, two.t)
    assert not torch.equal(one.eps, other.eps)
    assert torch.equal(one.plan.clean, latents())
