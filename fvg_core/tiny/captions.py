"""English for prompts and for single moments of scenes, in many wordings.

A caption is a list of spans, each with the index of the actor that it speaks of: the text encoder
is trained to know whose word is whose.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .scenes import Body, Scene, changed, track
from .words import SIDES, TURNS, Actor, Prompt

NOUNS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "ball", "circle", "disc"),
    "square": ("square", "square", "box", "block"),
    "triangle": ("triangle",),
    "ring": ("ring", "ring", "hoop"),
    "cross": ("cross", "cross", "plus sign"),
}
PLURALS = {"box": "boxes", "cross": "crosses"}
NUMBERS = ("no", "one", "two", "three", "four", "five")
_WAY_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("moves left", "moves to the left", "slides left", "drifts to the left"),
    "right": ("moves right", "moves to the right", "slides right", "drifts to the right"),
    "up": ("moves up", "moves upwards", "slides up", "rises"),
    "down": ("moves down", "moves downwards", "slides down", "sinks"),
}
PHRASES: dict[str, tuple[str, ...]] = {
    **_WAY_PHRASES,
    "rests": ("stays still", "rests", "does not move", "remains in place"),
    "drifts": ("drifts slowly", "floats about", "wanders a little"),
    "spins": ("spins", "spins around", "rotates", "turns around itself"),
    "bounces": ("bounces", "hops up and down", "bounces up and down"),
    "sways": ("sways", "swings from side to side", "sways left and right"),
    "grows": ("grows", "grows larger", "becomes bigger", "expands"),
    "shrinks": ("shrinks", "shrinks slowly", "becomes smaller", "contracts"),
}
TURN_PHRASES = ("turns {0}", "changes from {1} to {0}", "becomes {0}", "slowly turns {0}")
TURN_JOINTS = (", then ", " and then ")
SIDE_PHRASES: dict[str, tuple[str, ...]] = {
    "left of": ("is to the left of", "is on the left side of", "stays left of"),
    "right of": ("is to the right of", "is on the right side of", "stays right of"),
    "above": ("is above", "hovers above", "stays above"),
    "below": ("is below", "is underneath", "stays below"),
}
MEETING_PHRASES: dict[str, tuple[str, ...]] = {
    "pushes": ("pushes", "pushes against", "shoves"),
    "meets": ("meets", "comes together with", "and {} meet and stay together"),
    "knocks away": ("knocks away", "bumps into {} and knocks it away", "hits {} and stops"),
}
POSITIONS: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "on the left of the frame", "on the left side"),
    "right": ("on the right", "on the right of the frame", "on the right side"),
    "top": ("at the top", "high in the frame", "near the top"),
    "bottom": ("at the bottom", "low in the frame", "near the bottom"),
    "center": ("in the center", "in the middle"),
}
# What the first frame's descriptions of people and of language models say besides.
_POSTURES = ("resting", "staying", "standing", "remaining still", "at rest")
_NEAR = ("near", "next to", "facing", "beside", "and, close by,")
BESIDE: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "on the left side of", "left of", "staying left of"),
    "right of": ("to the right of", "on the right side of", "right of", "staying right of"),
    "above": ("above", "hovering above", "staying above"),
    "below": ("below", "underneath", "staying below"),
}
_SMALL, _LARGE = 0.112, 0.14  # radii below and above which a word of size is due


Point = tuple[float, float]


@dataclass(frozen=True)
class Span:
    """A stretch of a caption. `owner`: index of the actor that it speaks of, or None."""

    text: str
    owner: int | None = None


def text(spans: Sequence[Span]) -> str:
    """The caption as a sentence without a full stop."""
    return "".join(s.text for s in spans)


def prompt_spans(prompt: Prompt, rng: random.Random | None = None) -> list[Span]:
    """What a prompt asks for. Without `rng` in the plainest wording, which holds every word."""
    return _set(_told(prompt, rng), prompt, rng)


def motion_text(prompt: Prompt) -> str:
    """What happens, in the plainest words: no ground, and nobody who only rests (but where all
    do). For a video model that has the first frame."""
    movers = tuple(a for a in prompt.actors if a.does != "rests")
    return text(_told(replace(prompt, actors=movers or prompt.actors), None))


def _told(prompt: Prompt, rng: random.Random | None) -> list[Span]:
    actors = [named(a, rng) for a in prompt.actors]
    if prompt.relation:
        return _related(prompt.relation, actors, rng)
    if prompt.category == "generative_numeracy":
        return _listed([Span(name, i) for i, name in enumerate(actors)], rng)
    does = [f"{n} {_doing(a, rng)}" for n, a in zip(actors, prompt.actors, strict=True)]
    return _listed([Span(d, i) for i, d in enumerate(does)], rng, " while ")


def moment_spans(scene: Scene, u: float = 0.0, rng: random.Random | None = None) -> list[Span]:
    """What stands in a frame at time u of a scene; with u = 0 the first frame's caption. Without
    `rng` every object has its place; with it some have, and two may stand in a relation instead."""
    bodies = [[b for b in scene.bodies if b.actor == i] for i in range(len(scene.prompt.actors))]
    firsts = [each[0] for each in bodies]
    names = [named(seen(scene, b, u), rng, _size(b, u)) for b in firsts]
    single = [len(each) == 1 for each in bodies]
    if rng and len(names) == 2 and all(single) and rng.random() < 0.35:
        spans = _standing(names, *(_center(b, u) for b in firsts), rng)
    else:
        placed = [alone and (rng is None or rng.random() < 0.6) for alone in single]
        spans = []
        for i, (name, told) in enumerate(zip(names, placed, strict=True)):
            posture = f" {rng.choice(_POSTURES)}" if rng and rng.random() < 0.12 else ""
            place = f" {_pick(rng, POSITIONS[position(firsts[i], u)])}" if told else ""
            spans.append(Span(f"{name}{posture}{place}", i))
        spans = _listed(spans, rng)
    return _set(spans, scene.prompt, rng)


def _standing(names: list[str], first: Point, second: Point, rng: random.Random) -> list[Span]:
    """Two objects by the side on which the first stands, or merely near each other."""
    dx, dy = first[0] - second[0], first[1] - second[1]
    across = "left of" if dx < 0 else "right of"
    side = across if abs(dx) > abs(dy) else "above" if dy < 0 else "below"
    clear = max(abs(dx), abs(dy)) > 1.5 * min(abs(dx), abs(dy))
    words = BESIDE[side] if clear and rng.random() < 0.6 else _NEAR
    return [Span(names[0], 0), Span(f" {rng.choice(words)} "), Span(names[1], 1)]


def side_said(spans: Sequence[Span]) -> str:
    """Where, of SIDES, a moment's caption says that its first actor stands, else ''."""
    joints = {s.text.strip() for s in spans if s.owner is None}
    return next((side for side, ways in BESIDE.items() if joints & set(ways)), "")


def seen(scene: Scene, body: Body, u: float) -> Actor:
    """A body's actor with the colour it shows at time u."""
    actor = scene.actor(body)
    late = actor.becomes and changed(body, np.array([u])).item() > 0.5
    return Actor(actor.becomes if late else actor.color, actor.shape, count=actor.count)


def position(body: Body, u: float) -> str:
    """Where of POSITIONS a body is at time u."""
    x, y = (v - 0.5 for v in _center(body, u))
    if max(abs(x), abs(y)) < 0.1:
        return "center"
    if abs(x) >= abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"


def _center(body: Body, u: float) -> Point:
    x, y = track(body, np.array([u]))[:2, 0].tolist()
    return x, y


def _size(body: Body, u: float) -> str:
    if body.growth == 1:
        return ""
    radius = track(body, np.array([u]))[2].item()
    return "small" if radius < _SMALL else "large" if radius > _LARGE else ""


def _pick(rng: random.Random | None, choices: Sequence[str]) -> str:
    return rng.choice(choices) if rng else choices[0]


def named(actor: Actor, rng: random.Random | None = None, size: str = "") -> str:
    """'a red ball', 'three blue squares'."""
    noun = _pick(rng, NOUNS[actor.shape])
    words = " ".join(filter(None, (size, actor.color, noun)))
    if actor.count == 1:
        return f"a {words}"
    plural = PLURALS.get(noun, noun + "s")
    return f"{NUMBERS[actor.count]} {words.removesuffix(noun)}{plural}"


def _doing(actor: Actor, rng: random.Random | None) -> str:
    if actor.does == "turns":
        return _pick(rng, TURN_PHRASES).format(actor.becomes, actor.color)
    if actor.does in TURNS:
        first, second = actor.does.split(" then ")
        joint = _pick(rng, TURN_JOINTS)
        return f"{_pick(rng, _WAY_PHRASES[first])}{joint}{_pick(rng, _WAY_PHRASES[second])}"
    return _pick(rng, PHRASES[actor.does])


def _related(relation: str, names: list[str], rng: random.Random | None) -> list[Span]:
    phrase = _pick(rng, (SIDE_PHRASES if relation in SIDES else MEETING_PHRASES)[relation])
    before, _, after = (phrase if "{}" in phrase else phrase + " {}").partition("{}")
    spans = [Span(names[0], 0), Span(f" {before}"), Span(names[1], 1), Span(after)]
    return [s for s in spans if s.text]


def _listed(spans: list[Span], rng: random.Random | None, *joints: str) -> list[Span]:
    if rng:
        rng.shuffle(spans)
    joined = spans[:1]
    for i, span in enumerate(spans[1:], start=2):
        last = i == len(spans)
        joint = _pick(rng, (" and ", " and ", ", ", *joints)) if last else ", "
        joined += [Span(joint), span]
    return joined


def _set(spans: list[Span], prompt: Prompt, rng: random.Random | None) -> list[Span]:
    """The spans with the ground, which a fifth of the wordings leave out."""
    texture = "" if prompt.texture == "plain" else f"{prompt.texture} "
    ground = f"a {texture}{prompt.ground} {_pick(rng, ('background', 'background', 'ground'))}"
    place = rng.random() if rng else 0.0
    if place < 0.6:
        return [*spans, Span(f" on {ground}")]
    if place < 0.8:
        return [Span(f"on {ground}, "), *spans]
    return spans
