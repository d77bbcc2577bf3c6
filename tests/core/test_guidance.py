"""Guidance: its closed forms, and the interval against a count by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.errors import FVGError
from fvg_core.guidance import GuidanceInterval, classifier_free
from fvg_core.schedules import linear_sigmas

UNIT = st.floats(0, 1)


def test_guidance_extrapolates_from_negative_to_positive():
    positive, negative = torch.randn(2, 3, 4, dtype=torch.float64)
    for scale, expected in (
        (0, negative),
        (1, positive),
        (0.5, (positive + negative) / 2),
        (5, 5 * positive - 4 * negative),
    ):
        torch.testing.assert_close(classifier_free(positive, negative, scale), expected)


@given(UNIT, UNIT, st.integers(1, 50), st.floats(0.5, 12))
def test_the_interval_guides_exactly_the_steps_inside(a, b, steps, shift):
    low, high = sorted((a, b))
    interval = GuidanceInterval(high=high, low=low)
    sigmas = linear_sigmas(steps, shift)[:-1].tolist()
    guided = [s for s in sigmas if interval.scale(s, 5.0) == 5.0]
    assert guided == [s for s in sigmas if not (s < low or s > high)]
    assert all(interval.scale(s, 5.0) == 1.0 for s in set(sigmas) - set(guided))


def test_the_default_guides_everywhere():
    assert {GuidanceInterval().scale(s, 4.0) for s in linear_sigmas(50, 3).tolist()} == {4.0}


def test_an_interval_that_ends_before_it_starts_is_refused():
    with pytest.raises(FVGError, match=r"sigma 0.2 to 0.8.*guidance_start below guidance_end"):
        GuidanceInterval(high=0.2, low=0.8)


@given(st.integers(2, 60), st.floats(0.1, 15))
def test_interval_along_a_schedule_counts_steps(steps: int, shift: float) -> None:
    sigmas = linear_sigmas(steps, shift)
    first, last = steps // 4, steps // 2
    interval = GuidanceInterval.along(sigmas, first / steps, last / steps)
    guided = [interval.scale(float(s), 7.0) == 7.0 for s in sigmas[:-1]]
    middle = guided[first + 1 : last]  # the ends may round to either side
    assert all(middle)
    assert not any(guided[: max(0, first - 1)])
    assert not any(guided[last + 2 :])


def test_the_whole_schedule_is_guided_by_default() -> None:
    sigmas = linear_sigmas(15, 5.0)
    interval = GuidanceInterval.along(sigmas, 0.0, 1.0)
    assert [interval.scale(float(s), 3.0) for s in sigmas[:-1]] == [3.0] * 15


def test_an_empty_schedule_has_no_step_to_guide() -> None:
    assert GuidanceInterval.along(torch.empty(0), 0.25, 0.5) == GuidanceInterval()
