"""Which candidates go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.errors import AnchorError
from fvg_core.image.choice import POLICIES, checked, pick, read_choices, write_choices

COUNTS = st.integers(1, 64)
SEEDS = st.integers(0, 2**64 - 1)
KEYS = st.text("0123456789abcdef", min_size=8, max_size=64)
PICKS = st.lists(st.integers(0, 4095), min_size=1, max_size=9, unique=True).map(tuple)


@given(COUNTS, SEEDS)
def test_a_seed_picks_one_candidate_and_always_the_same(count, seed):
    (chosen,) = pick(count, "seeded", seed=seed)
    assert chosen in range(count)
    assert pick(count, "seeded", seed=seed) == (chosen,)


def test_seeds_spread_over_all_candidates():
    counts = [0] * 5
    for seed in range(2000):
        counts[pick(5, "seeded", seed=seed)[0]] += 1
    assert min(counts) > 300  # expected 400 each


@given(COUNTS, st.data())
def test_explicit_is_the_index_itself(count, data):
    index = data.draw(st.integers(0, count - 1))
    assert pick(count, "explicit", index=index) == (index,)


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
    assert pick(count, "first", index=999, seed=seed) == (0,)
    assert pick(count, "seeded", index=999, seed=seed) is not None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=64))
def test_the_best_score_is_the_first_of_the_highest(scores):
    (best,) = pick(len(scores), "best score", scores=scores)
    assert scores[best] == max(scores)
    assert max(scores) not in scores[:best]


def test_without_any_score_to_give_the_first_is_taken():
    assert pick(3, "best score", scores=[]) == (0,)


def test_the_best_score_needs_scores():
    with pytest.raises(AnchorError, match="connect an Anchor Scorer"):
        pick(3, "best score")


def test_an_unknown_policy_names_the_known_ones():
    with pytest.raises(AnchorError) as raised:
        pick(3, "best")
    assert all(policy in str(raised.value) for policy in ("best", *POLICIES))


@given(st.dictionaries(KEYS, PICKS, max_size=9))
def test_choices_are_read_as_they_were_written(choices):
    read = read_choices(write_choices(choices))
    assert read == choices
    assert list(read) == list(choices)  # the latest stays in front


@given(st.text())
def test_any_text_can_be_read(text):
    for key, picked in read_choices(text).items():
        assert 8 <= len(key) <= 64
        assert set(key) <= set("0123456789abcdef")
        assert picked


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("00112233: 2", {"00112233": (2,)}),
        (" 00112233: 3,1, 3 ;junk; aabbccdd: 0;", {"00112233": (3, 1), "aabbccdd": (0,)}),
        ("0011223: 2", {}),
        ("00112233: -1", {}),
        ("00112233: 1.5", {}),
        ("00112233: 99999", {}),
        ("00112233:", {}),
        ("../../x: 2", {}),
        ("00112233: ٣", {}),  # a digit, but not one of ours
    ],
)
def test_what_is_no_choice_is_left_out(text, read):
    assert read_choices(text) == read


def test_picks_are_checked_and_count_once():
    assert checked((2, 0, 2), 3) == (2, 0)
    with pytest.raises(AnchorError, match="candidate 3 was asked for, but there are 3"):
        checked((0, 3), 3)
