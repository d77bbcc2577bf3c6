"""What a prompt says: who is there and what they do. No geometry; that is for scenes.py.

The seven categories carry the folder names of T2V-CompBench (branch V2).
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..categories import CATEGORIES

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 42),
    "green": (40, 190, 75),
    "blue": (50, 90, 235),
    "yellow": (242, 214, 45),
    "purple": (158, 62, 208),
    "white": (236, 236, 236),
}
# All dark, so that an object can be told from every ground by its brightness.
GROUNDS: dict[str, tuple[int, int, int]] = {
    "gray": (88, 88, 92),
    "brown": (92, 66, 46),
    "navy": (30, 38, 78),
    "black": (22, 22, 26),
}
TEXTURES = ("plain", "striped", "checkered", "dotted")
SHAPES = ("ball", "square", "triangle", "ring", "cross")
SPINNERS = ("square", "triangle", "cross")  # a turning ball or ring looks like a resting one

# Unit steps in image coordinates (y points down).
WAYS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
TURNS = tuple(  # "right then up": two stages, at a right angle
    f"{a} then {b}" for a in WAYS for b in WAYS if b not in (a, OPPOSITE[a])
)
ACTIONS = ("spins", "bounces", "sways", "grows", "shrinks")
DOES = ("rests", "drifts", "turns", *WAYS, *TURNS, *ACTIONS)
SIDES: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
MEETINGS = ("pushes", "meets", "knocks away")
# Categories of which no score asks for motion: what drifts is not judged, a still picture is right.
STATIC = ("consistent_attr", "spatial_relationships", "generative_numeracy")
MOST = 5  # objects of a scene
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Actor:
    """Objects of one kind. `becomes`: the colour that one that `turns` ends with, else ''."""

    color: str
    shape: str
    does: str = "rests"
    becomes: str = ""
    count: int = 1

    @property
    def kind(self) -> tuple[str, str]:
        return self.color, self.shape

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What it is, and what it turns into."""
        return [self.kind, *([(self.becomes, self.shape)] if self.becomes else [])]


@dataclass(frozen=True)
class Prompt:
    """`relation`: of SIDES or MEETINGS, what the first actor is or does to the second, else ''."""

    category: str
    actors: tuple[Actor, ...]
    ground: str
    texture: str
    relation: str = ""

    @property
    def held_out(self) -> bool:
        """True where two kinds that are together at any time are of the tenth of all pairs that
        training never shows together, in no category. So one with a single kind is not."""
        actors = itertools.combinations(self.actors, 2)
        return any(
            _is_held_out(pair) for a, b in actors for pair in itertools.product(a.kinds, b.kinds)
        )


def _is_held_out(pair: tuple[tuple[str, str], tuple[str, str]]) -> bool:
    return hashlib.sha256(repr(sorted(pair)).encode()).digest()[0] < 256 * _HELD_OUT_SHARE


def sample_prompt(
    rng: random.Random, category: str | None = None, held_out: bool | None = False
) -> Prompt:
    """A random prompt. category: of CATEGORIES, None for any. held_out: False for training, True
    for tests, None for either."""
    category = category or rng.choice(CATEGORIES)
    while True:
        actors, relation = _ACTORS[category](rng)
        ground, texture = rng.choice(list(GROUNDS)), rng.choice(TEXTURES)
        prompt = Prompt(category, actors, ground, texture, relation)
        if held_out is None or prompt.held_out == held_out:
            return prompt


_Cast = tuple[tuple[Actor, ...], str]


def _kinds(rng: random.Random, count: int) -> list[Actor]:
    """Actors of different colours."""
    return [Actor(c, rng.choice(SHAPES)) for c in rng.sample(list(COLORS), count)]


def _attributes(rng: random.Random) -> _Cast:
    return tuple(replace(a, does="drifts") for a in _kinds(rng, rng.choice((2, 2, 3)))), ""


def _changes(rng: random.Random) -> _Cast:
    actors = _kinds(rng, rng.choice((1, 2)))
    taken = {a.color for a in actors}
    becomes = rng.choice([c for c in COLORS if c not in taken])
    change = rng.choice(("turns", "turns", "grows", "shrinks"))
    first = replace(actors[0], does=change, becomes=becomes if change == "turns" else "")
    return (first, *actors[1:]), ""


def _sides(rng: random.Random) -> _Cast:
    return tuple(_kinds(rng, 2)), rng.choice(list(SIDES))


def _motions(rng: random.Random) -> _Cast:
    actors = _kinds(rng, rng.choice((1, 2, 2)))
    ways = [rng.choice((rng.choice(list(WAYS)), rng.choice(TURNS))) for _ in actors]
    if len(ways) == 2 and ways[0] == ways[1]:
        ways[1] = OPPOSITE.get(ways[0], "rests")
    return tuple(replace(a, does=w) for a, w in zip(actors, ways, strict=True)), ""


def _actions(rng: random.Random) -> _Cast:
    actors = _kinds(rng, 2)
    does = rng.sample([*ACTIONS, "rests"], 2)
    return tuple(
        replace(a, does=d, shape=rng.choice(SPINNERS) if d == "spins" else a.shape)
        for a, d in zip(actors, does, strict=True)
    ), ""


def _meetings(rng: random.Random) -> _Cast:
    return tuple(_kinds(rng, 2)), rng.choice(MEETINGS)


def _counts(rng: random.Random) -> _Cast:
    while True:
        actors = _kinds(rng, rng.choice((1, 2, 2)))
        counts = [rng.randint(1, 4) for _ in actors]
        if 2 <= sum(counts) <= MOST:
            return tuple(replace(a, count=n) for a, n in zip(actors, counts, strict=True)), ""


_ACTORS: dict[str, Callable[[random.Random], _Cast]] = {
    "consistent_attr": _attributes,
    "dynamic_attr": _changes,
    "spatial_relationships": _sides,
    "motion_binding": _motions,
    "action_binding": _actions,
    "interaction": _meetings,
    "generative_numeracy": _counts,
}
