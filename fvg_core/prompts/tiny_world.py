"""Prompts in the tiny world's own words ("a red ball moves right on a gray background"), exactly.

The first frame is told in the words that the tiny image model is trained on, and leaves room for
what follows: a mover stands opposite to its motion and others out of its way or apart, what grows
is small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..tiny import captions
from ..tiny.words import (
    COLORS,
    GROUNDS,
    MEETINGS,
    MOST,
    SIDES,
    SPINNERS,
    TEXTURES,
    TURNS,
    WAYS,
    Actor,
    Prompt,
)
from .types import Entity

_JOINTS = (", and ", ", while ", " and ", " while ", ", ")  # between one object and the next
_SIZES = {"grows": "small", "shrinks": "large"}  # at t = 0
# Where an object stands at t = 0 in the training frames that leave most room for what it does. Of
# two stages the last one asks for more, and two that go towards each other need different rows.
_STARTS = {"left": "right", "right": "left", "up": "bottom", "down": "top"}
_STARTS |= {turn: _STARTS[turn.split(" then ")[1]] for turn in TURNS}
_STARTS |= {"bounces": "bottom", "sways": "top"}
# Where an object that needs no place of its own stands out of the way of one that does this.
_ASIDE = {"left": "top", "right": "top", "up": "right", "down": "right"}
_ASIDE |= {turn: _STARTS[turn.split(" then ")[0]] for turn in TURNS}
_ASIDE |= {"bounces": "right", "sways": "bottom"}
_APART = ("left", "right", "top", "bottom")  # where objects stand that nothing asks a place for
_TOWARDS = {
    ("left", "right"): ("top", "bottom"),
    ("right", "left"): ("top", "bottom"),
    ("up", "down"): ("left", "right"),
    ("down", "up"): ("left", "right"),
}

_SINGULARS = {noun: shape for shape, nouns in captions.NOUNS.items() for noun in nouns}
_PLURALS = {captions.PLURALS.get(n, f"{n}s"): shape for n, shape in _SINGULARS.items()}
_NUMBERS = {word: n for n, word in enumerate(captions.NUMBERS) if n} | {"a": 1, "the": 1}
_DOES = {said: does for does, phrases in captions.PHRASES.items() for said in phrases} | {
    f"{first}{joint}{second}": turn
    for turn in TURNS
    for first in captions.PHRASES[turn.split(" then ")[0]]
    for joint in captions.TURN_JOINTS
    for second in captions.PHRASES[turn.split(" then ")[1]]
}
_RELATIONS = {  # words between two objects, words behind them -> relation
    (phrase if "{}" in phrase else f"{phrase} {{}}").partition("{}")[::2]: relation
    for relation, phrases in {**captions.SIDE_PHRASES, **captions.MEETING_PHRASES}.items()
    for phrase in phrases
}


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_NAME = re.compile(rf"\b({_any(_NUMBERS)}) ({_any(COLORS)}) ({_any(_SINGULARS | _PLURALS)})\b")
_GROUND = rf"on (?:a|the) (?:({_any(TEXTURES)}) )?({_any(GROUNDS)}) (background|ground)"
_BEFORE, _BEHIND = re.compile(rf"{_GROUND},? "), re.compile(rf",? {_GROUND}$")


@dataclass(frozen=True)
class Reading:
    """A prompt and its wording. `prompt`: ground and texture are '' where none is named; `nouns`:
    of its actors, in their number; `events`: what is said to happen; `ground`: "on a ..." or ''."""

    prompt: Prompt
    nouns: tuple[str, ...]
    events: tuple[str, ...]
    ground: str

    @property
    def first_frame(self) -> str:
        """What stands there at t = 0."""
        names = [self._name(i, _SIZES.get(a.does)) for i, a in enumerate(self.prompt.actors)]
        if self.prompt.relation:
            side = self.prompt.relation if self.prompt.relation in SIDES else "left of"
            listed = f" {captions.BESIDE[side][0]} ".join(names)
        else:
            told = zip(names, self.places, strict=True)
            placed = [" ".join(filter(None, each)) for each in told]
            listed = " and ".join(filter(None, (", ".join(placed[:-1]), placed[-1])))
        return f"{listed} {self.ground}".strip()

    @property
    def places(self) -> tuple[str | None, ...]:
        """Where each actor stands: with room for what it does, and else apart from the others. Told
        no place, the image model draws two things as one, or one twice. None beside several of a
        kind, which have no place."""
        does = tuple(a.does for a in self.prompt.actors)
        aside = next((_ASIDE[each] for each in does if each in _ASIDE), None)
        starts = list(_TOWARDS.get(does, [_STARTS.get(each, aside) for each in does]))
        many = any(a.count > 1 for a in self.prompt.actors)
        if len(does) > 1 and not many and not self.prompt.relation:
            free = iter([place for place in _APART if place not in starts])
            starts = [start or next(free, None) for start in starts]
        return tuple(start and captions.POSITIONS[start][0] for start in starts)

    @property
    def added(self) -> list[str]:
        """Words of size and place that the prompt has not."""
        sizes = [_SIZES.get(a.does) for a in self.prompt.actors]
        return [word for word in (*sizes, *self.places) if word]

    def entities(self) -> list[Entity]:
        """The actors with their places at t = 0."""
        return [
            Entity(self._name(i), noun, actor.count, (actor.color,), place)
            for i, (actor, noun, place) in enumerate(
                zip(self.prompt.actors, self.nouns, self.places, strict=True)
            )
        ]

    def _name(self, index: int, size: str | None = None) -> str:
        actor = self.prompt.actors[index]
        number = "a" if actor.count == 1 else captions.NUMBERS[actor.count]
        return " ".join(filter(None, (number, size, actor.color, self.nouns[index])))


def shape_of(noun: str) -> str | None:
    """The shape that a noun names in either number: 'hoops' is a ring."""
    return (_SINGULARS | _PLURALS).get(noun)


def read_prompt(text: str) -> Reading | None:
    """The prompt that a text asks for, or None where a word is not of the tiny world, or what it
    asks for cannot be seen there."""
    said = " ".join(text.lower().replace("grey", "gray").split()).rstrip(" .")
    ground = _BEFORE.match(said) or _BEHIND.search(said)
    said = said.replace(ground[0], "", 1) if ground else said
    names = list(_NAME.finditer(said))
    if not names or names[0].start() > 0:
        return None
    ends = [*(name.start() for name in names[1:]), len(said)]
    behind = [said[name.end() : end] for name, end in zip(names, ends, strict=True)]
    relation = _RELATIONS.get((behind[0][1:], behind[1]), "") if len(names) == 2 else ""
    events = [""] * len(names) if relation else _events(behind)
    actors = [_actor(name, event) for name, event in zip(names, events, strict=False)]
    if not all(actors) or not _visible(actors, events, relation):
        return None
    found = sorted(zip(actors, names, strict=True), key=lambda each: each[0].does != "turns")
    actors, names = zip(*found, strict=True)
    category = _category(actors, events, relation)
    texture, hue, noun = ground.groups("plain") if ground else ("", "", "")
    weave = "" if texture == "plain" else texture
    if relation in MEETINGS:
        events = [said.strip() for said in behind]
    return Reading(
        Prompt(category, actors, hue, texture, relation),
        tuple(name[3] for name in names),
        tuple(filter(None, events)),
        " ".join(filter(None, ("on a", weave, hue, noun))) if ground else "",
    )


def _events(behind: Sequence[str]) -> list[str]:
    """What stands behind each object, without what leads to the next; none where nothing does."""
    joints = [next((j for j in _JOINTS if said.endswith(j)), None) for said in behind[:-1]]
    if None in joints:
        return []
    ends = [said.removesuffix(j) for said, j in zip(behind, [*joints, ""], strict=True)]
    return [said.strip() for said in ends]


def _actor(name: re.Match[str], event: str) -> Actor | None:
    number, color, noun = name.groups()
    shape = (_SINGULARS if _NUMBERS[number] == 1 else _PLURALS).get(noun)
    turns = (c for c in COLORS for p in captions.TURN_PHRASES if p.format(c, color) == event)
    becomes = next(turns, "")
    does = "turns" if becomes else _DOES.get(event) if event else "rests"
    return Actor(color, shape, does, becomes, _NUMBERS[number]) if shape and does else None


def _visible(actors: Sequence[Actor], events: Sequence[str], relation: str) -> bool:
    """Whether the tiny world has such scenes, in which colours tell who is who."""
    colors = [c for a in actors for c in (a.color, a.becomes) if c]
    many = [a for a in actors if a.count > 1]
    turning = any(a.does == "turns" for a in actors)
    return (
        bool(actors)
        and len(set(colors)) == len(colors)
        and sum(a.count for a in actors) <= MOST
        and not (many and (relation or any(events)))
        and all(events) == any(events)
        and not any(a.does == "spins" and a.shape not in SPINNERS for a in actors)
        and not (turning and any(a.does not in ("turns", "rests") for a in actors))
        and sum(a.does == "turns" for a in actors) <= 1
    )


def _category(actors: Sequence[Actor], events: Sequence[str], relation: str) -> str:
    """The category of T2V-CompBench that asks for this."""
    does = {a.does for a in actors}
    if relation:
        return "spatial_relationships" if relation in SIDES else "interaction"
    if not any(events):
        return "generative_numeracy"
    if does == {"drifts"}:
        return "consistent_attr"
    if "turns" in does or (does & {"grows", "shrinks"} and len(does - {"rests"}) == 1):
        return "dynamic_attr"
    return "motion_binding" if does & {*WAYS, *TURNS} else "action_binding"
