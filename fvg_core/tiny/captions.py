"""English for scenes: varied wordings with the owner of every word, to train on.

`Scene.caption` is the canonical wording; the models also meet the others, so that a user's own
phrasing is understood.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .world import Scene, Thing

MOTION_PHRASES: dict[str, tuple[str, ...]] = {
    "moves left": ("moves left", "moves to the left", "slides left", "drifts to the left"),
    "moves right": ("moves right", "moves to the right", "slides right", "drifts to the right"),
    "moves up": ("moves up", "moves upwards", "slides up", "rises"),
    "moves down": ("moves down", "moves downwards", "slides down", "sinks"),
    "stays still": ("stays still", "does not move", "remains still", "stands still"),
}
JOINERS = (" and ", " and ", " while ", ", ")
CANONICAL_SHARE = 0.5  # of training captions keep the canonical wording


@dataclass(frozen=True)
class Span:
    """A stretch of a caption. `owner`: index of the object that it speaks of, or None."""

    text: str
    owner: int | None


def motion_spans(scene: Scene, rng: random.Random) -> list[Span]:
    """What happens in a scene, in one of many wordings."""
    canonical = rng.random() < CANONICAL_SHARE

    def describe(t: Thing) -> str:
        phrase = t.motion if canonical else rng.choice(MOTION_PHRASES[t.motion])
        return f"a {t.color} {t.shape} {phrase}"

    return _join(scene, rng, canonical, describe)


def still_spans(scene: Scene, rng: random.Random) -> list[Span]:
    """What stands in a frame, some objects with their place: the anchor model's prompts."""
    canonical = rng.random() < 0.8

    def describe(t: Thing) -> str:
        return f"a {t.color} {t.shape}" + (f" {t.position}" if rng.random() < 0.6 else "")

    return _join(scene, rng, canonical, describe)


def text(spans: list[Span]) -> str:
    return "".join(s.text for s in spans)


def _join(
    scene: Scene, rng: random.Random, canonical: bool, describe: Callable[[Thing], str]
) -> list[Span]:
    order = list(range(len(scene.things)))
    rng.shuffle(order)
    joiner = " and " if canonical else rng.choice(JOINERS)
    spans: list[Span] = []
    for i in order:
        if spans:
            spans.append(Span(joiner, None))
        spans.append(Span(describe(scene.things[i]), i))
    if rng.random() < 0.85:
        spans.append(Span(f" on a {scene.ground} background", None))
    return spans
