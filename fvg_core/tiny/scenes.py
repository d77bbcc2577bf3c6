"""Scenes that fit a prompt: where every object starts, and where it goes.

Lengths are shares of the picture's side, times are shares of the clip: a scene has no size yet.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .shapes import REACH, touching
from .words import SIDES, TURNS, WAYS, Actor, Prompt, sample_prompt

MARGIN = 0.015  # free space kept at the border
GAP = 0.045  # free space kept between two objects, unless they are to meet
_LOOKS = np.linspace(0, 1, 17)  # moments at which a scene is looked through for collisions
_CHANGE = 0.12  # share of the clip that a change of colour takes
_TRIES = 400

Knot = tuple[float, float, float]  # time, x, y
_ORIGIN: Knot = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Body:
    """One object. `actor`: its index in the prompt; `bend`: how far a leg of the path bulges to
    its side, as a share of its length; `growth`: last radius over first; `turns`: rotations over
    the clip; `hop`, `sway`: heights of `cycles` hops and swings; `change`: time of a new colour."""

    actor: int
    radius: float
    path: tuple[Knot, ...]
    bend: float = 0.0
    growth: float = 1.0
    turns: float = 0.0
    hop: float = 0.0
    sway: float = 0.0
    cycles: float = 2.0
    change: float = 0.5


@dataclass(frozen=True)
class Scene:
    """`weave`: angle of the ground's texture, in turns."""

    prompt: Prompt
    bodies: tuple[Body, ...]
    weave: float

    def actor(self, body: Body) -> Actor:
        return self.prompt.actors[body.actor]


def track(body: Body, u: np.ndarray) -> np.ndarray:
    """x, y, radius, angle in turns [4, F] at times u [F]."""
    x, y = _along(body, u)
    if body.sway:
        x = x + body.sway * np.sin(2 * np.pi * body.cycles * u)
    if body.hop:
        y = y - body.hop * np.abs(np.sin(np.pi * body.cycles * u))
    return np.stack([x, y, body.radius * (1 + (body.growth - 1) * u), body.turns * u])


def _along(body: Body, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times, xs, ys = np.array(body.path).T
    if len(times) == 1:
        return xs + 0 * u, ys + 0 * u
    leg = (np.searchsorted(times, u, side="right") - 1).clip(0, len(times) - 2)
    s = (u - times[leg]) / (times[leg + 1] - times[leg])
    dx, dy = xs[leg + 1] - xs[leg], ys[leg + 1] - ys[leg]
    bulge = 4 * body.bend * s * (1 - s)
    return xs[leg] + s * dx - bulge * dy, ys[leg] + s * dy + bulge * dx


def changed(body: Body, u: np.ndarray) -> np.ndarray:
    """How much of its new colour a body that turns shows at times u [F]: 0 to 1."""
    return ((u - body.change) / _CHANGE + 0.5).clip(0, 1)


def sample_scene(
    rng: random.Random, category: str | None = None, held_out: bool | None = False
) -> Scene:
    """A random prompt and a scene that shows it."""
    while True:
        scene = stage(sample_prompt(rng, category, held_out), rng)
        if scene:
            return scene


def stage(prompt: Prompt, rng: random.Random) -> Scene | None:
    """A scene that shows a prompt, or None where no room was found (draw again)."""
    count = sum(a.count for a in prompt.actors)
    for _ in range(_TRIES):
        bodies = _PLACED.get(prompt.category, _each)(prompt, rng)
        if len(bodies) == count and (prompt.category == "interaction" or apart(prompt, bodies)):
            return Scene(prompt, tuple(bodies), rng.choice((0.0, 0.125, 0.25, 0.375)))
    return None


def apart(prompt: Prompt, bodies: list[Body]) -> bool:
    """True if no two objects come closer than GAP, whichever way they are turned."""
    extents = [_extent(prompt, b) for b in bodies]
    for (a, far), (b, wide) in itertools.combinations(extents, 2):
        if (np.hypot(*(a - b)) < far + wide + GAP).any():
            return False
    return True


def _extent(prompt: Prompt, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Centres [2, F] and how far the object reaches from them [F] over the clip."""
    x, y, radius, _ = track(body, _LOOKS)
    return np.stack([x, y]), radius * REACH[prompt.actors[body.actor].shape]


def _settled(prompt: Prompt, rng: random.Random, *bodies: Body) -> list[Body]:
    """Bodies moved as one to a random place at which they stay inside the picture throughout;
    none where they do not fit."""
    extents = [_extent(prompt, b) for b in bodies]
    low = np.min([(c - r).min(1) for c, r in extents], axis=0) - MARGIN
    high = np.max([(c + r).max(1) for c, r in extents], axis=0) + MARGIN
    if (high - low > 1).any():
        return []
    dx, dy = (rng.uniform(-a, 1 - b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return [replace(b, path=tuple((t, x + dx, y + dy) for t, x, y in b.path)) for b in bodies]


def _resting(actor: int, rng: random.Random) -> Body:
    return Body(actor, rng.uniform(0.115, 0.14), (_ORIGIN,))


def _each(prompt: Prompt, rng: random.Random) -> list[Body]:
    """Every object for itself, doing what its actor does."""
    bodies = []
    for i, actor in enumerate(prompt.actors):
        body = _resting(i, rng)
        if actor.does in WAYS or actor.does in TURNS:
            body = _moving(body, actor.does, rng)
        elif actor.does != "rests":
            body = _ACTING[actor.does](body, rng)
        bodies += _settled(prompt, rng, body)
    return bodies


def _moving(body: Body, does: str, rng: random.Random) -> Body:
    ways = does.split(" then ")
    x, y = 0.0, 0.0
    path = [_ORIGIN]
    middle = rng.uniform(0.45, 0.55)
    for way, end in zip(ways, (middle, 1.0) if len(ways) == 2 else (1.0,), strict=True):
        length = rng.uniform(0.22, 0.3) if len(ways) == 2 else rng.uniform(0.3, 0.48)
        x, y = x + WAYS[way][0] * length, y + WAYS[way][1] * length
        path.append((end, x, y))
    return replace(body, path=tuple(path), bend=rng.uniform(-0.15, 0.15), radius=_small(rng))


def _small(rng: random.Random) -> float:
    return rng.uniform(0.105, 0.13)


def _drifting(body: Body, rng: random.Random) -> Body:
    end = (1.0, rng.uniform(-0.16, 0.16), rng.uniform(-0.16, 0.16))
    return replace(body, path=(_ORIGIN, end), bend=rng.uniform(-0.3, 0.3), radius=_small(rng))


def _turning(body: Body, rng: random.Random) -> Body:
    return replace(_drifting(body, rng), change=rng.uniform(0.4, 0.6), radius=body.radius)


_ACTING: dict[str, Callable[[Body, random.Random], Body]] = {
    "drifts": _drifting,
    "turns": _turning,
    "spins": lambda b, rng: replace(b, turns=rng.choice((-1, 1)) * rng.uniform(0.35, 0.5)),
    "bounces": lambda b, rng: replace(b, hop=rng.uniform(0.17, 0.22), cycles=2),
    "sways": lambda b, rng: replace(b, sway=rng.uniform(0.09, 0.12), cycles=1.5),
    "grows": lambda b, rng: replace(b, radius=rng.uniform(0.09, 0.1), growth=_growth(rng)),
    "shrinks": lambda b, rng: replace(b, radius=rng.uniform(0.16, 0.18), growth=1 / _growth(rng)),
}


def _growth(rng: random.Random) -> float:
    return rng.uniform(1.65, 1.9)


def _side_by_side(prompt: Prompt, rng: random.Random) -> list[Body]:
    """Two objects, one clearly to one side of the other, that drift together."""
    dx, dy = SIDES[prompt.relation]
    apart, off = rng.uniform(0.36, 0.5), rng.uniform(-0.1, 0.1)
    x, y = -dx * apart + dy * off, -dy * apart + dx * off  # of the second, from the first
    go = rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)
    bend = rng.uniform(-0.3, 0.3)
    paths = (_ORIGIN, (1.0, *go)), ((0.0, x, y), (1.0, x + go[0], y + go[1]))
    return _settled(prompt, rng, *(Body(i, _small(rng), p, bend) for i, p in enumerate(paths)))


def _meeting(prompt: Prompt, rng: random.Random) -> list[Body]:
    """The first goes to the second, in one of four directions, until they touch."""
    way = dx, dy = rng.choice(list(WAYS.values()))
    a, b = (actor.shape for actor in prompt.actors)
    radius = rng.uniform(0.1, 0.112)
    near = touching(a, b, way) * radius
    run, after = rng.uniform(0.2, 0.28), rng.uniform(0.2, 0.26)
    when = rng.uniform(0.4, 0.5)
    at = lambda t, s: (t, dx * s, dy * s)
    if prompt.relation == "meets":
        when = rng.uniform(0.6, 0.75)
        half = run * rng.uniform(0.5, 0.8)
        paths = (
            (at(0.0, 0.0), at(when, run), at(1.0, run)),
            (at(0.0, run + near + half), at(when, run + near), at(1.0, run + near)),
        )
    else:
        follows = after if prompt.relation == "pushes" else 0.0
        paths = (
            (at(0.0, 0.0), at(when, run), at(1.0, run + follows)),
            (at(0.0, run + near), at(when, run + near), at(1.0, run + near + after)),
        )
    return _settled(prompt, rng, *(Body(i, radius, p) for i, p in enumerate(paths)))


def _counted(prompt: Prompt, rng: random.Random) -> list[Body]:
    """Objects in different cells of a 3 x 3 grid that drift together a little."""
    owners = [i for i, actor in enumerate(prompt.actors) for _ in range(actor.count)]
    radius = rng.uniform(0.092, 0.104)
    slack = max(0.5 / 3 - radius * max(REACH[a.shape] for a in prompt.actors) - GAP / 2, 0)
    dx, dy = rng.uniform(-0.08, 0.08), rng.uniform(-0.08, 0.08)
    bodies = []
    for owner, cell in zip(owners, rng.sample(range(9), len(owners)), strict=True):
        x, y = (i / 3 + rng.uniform(-slack, slack) for i in divmod(cell, 3))
        bodies.append(Body(owner, radius, ((0.0, x, y), (1.0, x + dx, y + dy))))
    return _settled(prompt, rng, *bodies)


_PLACED: dict[str, Callable[[Prompt, random.Random], list[Body]]] = {
    "spatial_relationships": _side_by_side,
    "interaction": _meeting,
    "generative_numeracy": _counted,
}
