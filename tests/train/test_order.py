"""Which samples a step sees."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.train.order import Order, held_out, mix

A, B = (5, 8, 8), (3, 8, 8)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 8), st.integers(0, 9))
def test_an_epoch_shows_every_sample(first, second, batch, seed):
    buckets = {A: range(first), B: range(first, first + second)} if second else {A: range(first)}
    order = Order(buckets, batch, seed)
    steps = [order.at(i) for i in range(order.per_epoch)]
    assert all(len(s) == batch for s in steps)
    assert all(len({i < first for i in s}) == 1 for s in steps)  # one shape a batch
    seen = Counter(i for s in steps for i in s)
    assert set(seen) == set(range(first + second))
    assert sum(seen.values()) == order.per_epoch * batch


def test_epochs_and_seeds_differ_and_nothing_else_matters():
    order = Order({A: range(40)}, 4, seed=1)
    epochs = [[order.at(e * order.per_epoch + i) for i in range(order.per_epoch)] for e in (0, 1)]
    assert epochs[0] != epochs[1]
    assert order.at(13) == Order({A: range(40)}, 4, seed=1).at(13)
    assert order.at(13) != Order({A: range(40)}, 4, seed=2).at(13)


def test_held_out_clips_stay_when_others_come():
    names = [f"clip {i}" for i in range(50)]
    chosen = {names[i] for i in held_out(names, 5)}
    more = names + [f"new {i}" for i in range(10)]
    kept = {more[i] for i in held_out(more, 5)}
    assert len(chosen) == 5
    assert len(chosen & kept) >= 3


def test_equal_clips_are_held_out_together():
    names = ["a", "b", "a", "c", "b"]
    chosen = held_out(names, 1)
    assert {names[i] for i in chosen} == {names[chosen[0]]}
    assert len(chosen) == names.count(names[chosen[0]])


def test_mixed_seeds_differ():
    assert len({mix("a", i, j) for i in range(50) for j in range(50)}) == 2500
    assert mix("a", 1) == mix("a", 1)
    assert 0 <= mix("a", 1) < 2**63
    assert mix("a", 11) != mix("a", 1, 1)
    assert pytest.approx(0.5, abs=0.05) == sum(mix("b", i) % 2 for i in range(2000)) / 2000


def test_shapes_take_turns_in_an_epoch():
    order = Order({A: range(20), B: range(20, 40)}, 2, seed=0)
    shapes = [order.at(i)[0] < 20 for i in range(order.per_epoch)]
    changes = sum(a != b for a, b in pairwise(shapes))
    assert changes > 4


def test_which_clips_are_held_out_is_the_same_on_every_machine():
    """Not a matter of this process's hashes: a resumed run must hold out the same clips."""
    assert held_out(list("abcdefghij"), 3) == (3, 5, 9)
