"""One seed for each candidate."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.errors import AnchorError
from fvg_core.image.seeds import candidate_seeds

SEEDS = st.integers(0, 2**64 - 1)


@given(seed=SEEDS, count=st.integers(1, 64))
def test_they_count_up_and_go_round(seed, count):
    seeds = candidate_seeds(seed, count)
    assert seeds[0] == seed
    assert all((b - a) % 2**64 == 1 for a, b in itertools.pairwise(seeds))
    assert max(seeds) < 2**64


@given(own=st.lists(SEEDS, min_size=1, max_size=64), seed=SEEDS)
def test_what_is_given_out_can_be_put_in(own, seed):
    assert candidate_seeds(seed, len(own), ", ".join(map(str, own))) == own


@pytest.mark.parametrize(
    ("own", "seeds"),
    [
        ("", [5, 6, 7]),
        (" \n", [5, 6, 7]),
        ("1", [1, 6, 7]),
        (",,9", [5, 6, 9]),
        (" 8 , , 9 ", [8, 6, 9]),
        ("7, 7, 7", [7, 7, 7]),
    ],
)
def test_single_ones_are_replaced(own, seeds):
    assert candidate_seeds(5, 3, own) == seeds


@pytest.mark.parametrize("own", ["x", "1.5", "-1", "+1", "1_0", "0x1", str(2**64), "9" * 5000, "²"])
def test_what_is_no_seed_is_refused(own):
    with pytest.raises(AnchorError, match="whole number from 0 to") as raised:
        candidate_seeds(5, 3, f"1, {own}")
    assert len(str(raised.value)) < 250


def test_more_than_there_are_candidates():
    with pytest.raises(AnchorError, match="seeds names 4 candidates and candidates is 3"):
        candidate_seeds(5, 3, "1, 2, 3,")
