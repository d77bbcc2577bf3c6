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
_PLURALS = {"box": "boxes", "cross": "crosses"}
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
_TURN_PHRASES = ("turns {0}", "changes from {1} to {0}", "becomes {0}", "slowly turns {0}")
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
POSITIONS = ("on the left", "on the right", "at the top", "at the bottom", "in the center")
_SMALL, _LARGE = 0.112, 0.14  # radii below and above which a word of size is due


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
    actors = [_named(a, rng) for a in prompt.actors]
    if prompt.relation:
        return _related(prompt.relation, actors, rng)
    if prompt.category == "generative_numeracy":
        return _listed([Span(name, i) for i, name in enumerate(actors)], rng)
    does = [f"{n} {_doing(a, rng)}" for n, a in zip(actors, prompt.actors, strict=True)]
    return _listed([Span(d, i) for i, d in enumerate(does)], rng, " while ")


def moment_spans(scene: Scene, u: float = 0.0, rng: random.Random | None = None) -> list[Span]:
    """What stands in a frame at time u of a scene; with u = 0 the first frame's caption. Without
    `rng` every object has its place; with it, some have."""
    shown = []
    for i in range(len(scene.prompt.actors)):
        bodies = [b for b in scene.bodies if b.actor == i]
        actor, place = seen(scene, bodies[0], u)
        name = _named(actor, rng, _size(bodies[0], u))
        placed = len(bodies) == 1 and (rng is None or rng.random() < 0.6)
        shown.append(Span(f"{name} {place}" if placed else name, i))
    return _set(_listed(shown, rng), scene.prompt, rng)


def seen(scene: Scene, body: Body, u: float) -> tuple[Actor, str]:
    """A body's actor with the colour it shows at time u, and the phrase of POSITIONS for it."""
    actor = scene.actor(body)
    at = np.array([u])
    late = actor.becomes and changed(body, at).item() > 0.5
    x, y = (v.item() - 0.5 for v in track(body, at)[:2])
    shown = Actor(actor.becomes if late else actor.color, actor.shape, count=actor.count)
    if max(abs(x), abs(y)) < 0.1:
        return shown, "in the center"
    if abs(x) >= abs(y):
        return shown, "on the left" if x < 0 else "on the right"
    return shown, "at the top" if y < 0 else "at the bottom"


def _size(body: Body, u: float) -> str:
    if body.growth == 1:
        return ""
    radius = track(body, np.array([u]))[2].item()
    return "small" if radius < _SMALL else "large" if radius > _LARGE else ""


def _pick(rng: random.Random | None, choices: Sequence[str]) -> str:
    return rng.choice(choices) if rng else choices[0]


def _named(actor: Actor, rng: random.Random | None, size: str = "") -> str:
    """'a red ball', 'three blue squares'."""
    noun = _pick(rng, NOUNS[actor.shape])
    words = " ".join(filter(None, (size, actor.color, noun)))
    if actor.count == 1:
        return f"a {words}"
    plural = _PLURALS.get(noun, noun + "s")
    return f"{NUMBERS[actor.count]} {words.removesuffix(noun)}{plural}"


def _doing(actor: Actor, rng: random.Random | None) -> str:
    if actor.does == "turns":
        return _pick(rng, _TURN_PHRASES).format(actor.becomes, actor.color)
    if actor.does in TURNS:
        first, second = actor.does.split(" then ")
        joint = _pick(rng, (", then ", " and then "))
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
