"""Which candidate goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.errors import AnchorError
from fvg_core.image import POLICIES, pick

COUNTS = st.integers(1, 64)
SEEDS = st.integers(0, 2**64 - 1)


@given(COUNTS, SEEDS)
def test_a_seed_picks_one_candidate_and_always_the_same(count, seed):
    chosen = pick(count, "seeded", seed=seed)
    assert chosen in range(count)
    assert pick(count, "seeded", seed=seed) == chosen


def test_seeds_spread_over_all_candidates():
    counts = [0] * 5
    for seed in range(2000):
        counts[pick(5, "seeded", seed=seed)] += 1
    assert min(counts) > 300  # expected 400 each


@given(COUNTS, st.data())
def test_explicit_is_the_index_itself(count, data):
    index = data.draw(st.integers(0, count - 1))
    assert pick(count, "explicit", index=index) == index


@given(COUNTS, st.integers(0, 100))
def test_an_index_without_a_candidate_is_refused(count, beyond):
    for index in (count + beyond, -1 - beyond):
        with pytest.raises(
            AnchorError, match=rf"candidate {index} .*there are {count};.*0 to {count - 1}"
        ):
            pick(count, "explicit", index=index)


@given(COUNTS, SEEDS)
def test_the_index_only_counts_with_explicit(count, seed):
    assert pick(count, "stop", index=999, seed=seed) is None
    assert pick(count, "first", index=999, seed=seed) == 0
    assert pick(count, "seeded", index=999, seed=seed) is not None


def test_an_unknown_policy_names_the_known_ones():
    with pytest.raises(AnchorError) as raised:
        pick(3, "best")
    assert all(policy in str(raised.value) for policy in ("best", *POLICIES))
