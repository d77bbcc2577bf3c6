"""Scores of pictures of the tiny world, which its own eye reads without a model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..prompts.tiny_world import read_prompt, shape_of
from ..tiny.captions import BESIDE, PLURALS, named
from ..tiny.scenes import Body, track
from ..tiny.scorer import beside
from ..tiny.seeing import Blob, Frame, gap, look
from ..tiny.shapes import REACH
from ..tiny.words import COLORS, MEETINGS, SHAPES, SIDES, TURNS, WAYS, Actor, Prompt
from .scoring import Score, read_entities

NOTHING_ELSE = "Is there nothing else in the picture?"
# What drawn objects do at least, in shares of the picture's side.
TRAVEL, STAGE = 0.3, 0.22  # ways of a whole clip, and of each of two stages
RUN, PUSHED = 0.15, 0.2  # of two that meet: the gap between them, and how far one is sent on
ACTING = {"bounces": {"hop": 0.17}, "sways": {"sway": 0.09}, "grows": {"growth": 1.65}}
TOLERANCE = 0.03  # how far circles about objects may overlap, which do not fill them
_MOMENTS = np.linspace(0, 1, 17)
Check = Callable[[Frame], bool]


def wanted(report: str) -> tuple[Prompt | None, str]:
    """What the rewriter's report asks a picture for; where the tiny world does not know it, None
    and a note for a person.

    Of a prompt in other words than the tiny world's it is who is there. Raises AnchorError for
    anything but a report.
    """
    entities = read_entities(report)
    if reading := read_prompt(str(json.loads(report).get("prompt"))):
        return reading.prompt, ""
    actors = [_actor(entity) for entity in entities]
    if actors and all(actors):
        counts = Counter()
        for actor in actors:
            counts[actor.kind] += actor.count
        cast = tuple(Actor(*kind, count=n) for kind, n in counts.items())
        return Prompt("generative_numeracy", cast, "", ""), ""
    strange = next((e for e, actor in zip(entities, actors, strict=True) if not actor), None)
    what = str(strange.get("text") or strange.get("noun"))[:60] if strange else ""
    known = f"does not know {what!r}" if strange else "finds nothing to look for"
    return None, (
        f"No scores: the tiny world {known}; it has {', '.join(COLORS)} and {', '.join(SHAPES)}, "
        "one colour and one shape for each thing. Choose another backend for other pictures."
    )


def questions(prompt: Prompt) -> dict[str, Check]:
    """What is asked about a first frame, and how it is answered: who is there, nobody else, and on
    which side; then whether there is room for what happens."""
    asked: dict[str, Check] = {}
    for a in prompt.actors:
        many = f"{a.count} {a.color} {PLURALS.get(a.shape, f'{a.shape}s')}"
        question = f"Is there {named(a)}?" if a.count == 1 else f"Are there {many}?"
        asked[question] = partial(_is_there, a)
    asked[NOTHING_ELSE] = partial(_nobody_else, prompt)
    if prompt.relation in SIDES:
        first, second = (" ".join(a.kind) for a in prompt.actors)
        question = f"Is the {first} {BESIDE[prompt.relation][0]} the {second}?"
        asked[question] = lambda seen: beside([seen], prompt.actors, prompt.relation) == 1
    if prompt.relation in MEETINGS:
        both = " and ".join(map(named, prompt.actors))
        asked[f"Is there room for {both} to meet?"] = partial(_can_meet, prompt)
    for a in prompt.actors:
        if a.does in (*WAYS, *TURNS, *ACTING):
            verb = "grow" if a.does == "grows" else "move"
            asked[f"Is there room for {named(a)} to {verb}?"] = partial(_has_room, prompt, a)
    return asked


def tiny_scores(pictures: Sequence[Image.Image], prompt: Prompt) -> list[Score]:
    """The answers to `questions` for each picture."""
    checks = questions(prompt).values()
    scores = []
    for picture in pictures:
        (seen,) = look(np.array(picture.convert("RGB"))[None])
        scores.append(Score(tuple(check(seen) for check in checks)))
    return scores


def _actor(entity: Mapping[str, Any]) -> Actor | None:
    """Colour, shape and number, or None for what is not of the tiny world."""
    shape, attributes = shape_of(str(entity.get("noun"))), entity.get("attributes")
    colors = [c for c in COLORS if isinstance(attributes, list) and c in attributes]
    count = entity.get("count")
    many = max(1, count) if isinstance(count, int) else 1
    return Actor(colors[0], shape, count=many) if shape and len(colors) == 1 else None


def _is_there(actor: Actor, seen: Frame) -> bool:
    return len(_found(actor, seen)) == actor.count


def _nobody_else(prompt: Prompt, seen: Frame) -> bool:
    return sum(map(len, seen.values())) == sum(a.count for a in prompt.actors)


def _found(actor: Actor, seen: Frame) -> list[Blob]:
    return [blob for blob in seen.get(actor.color, ()) if blob.shape == actor.shape]


def _can_meet(prompt: Prompt, seen: Frame) -> bool:
    """Whether the first, going straight, comes upon the second after a free way, and whether one
    that is sent on has room for it."""
    firsts, seconds = (_found(actor, seen) for actor in prompt.actors)
    if not (len(firsts) == len(seconds) == 1):
        return False
    (a,), (b,) = firsts, seconds
    dx, dy = b.x - a.x, b.y - a.y
    way = (np.sign(dx), 0) if abs(dx) > abs(dy) else (0, np.sign(dy))
    straight = min(abs(dx), abs(dy)) < _body(a).radius
    sent = [] if prompt.relation == "meets" else [way]
    return bool(straight and gap(a, b) >= RUN and _course(b, _sent(_body(b), sent, PUSHED)).inside)


def _has_room(prompt: Prompt, actor: Actor, seen: Frame) -> bool:
    """Whether the objects of an actor can do what they do, inside the picture and into nothing."""
    does = {a.kind: a.does for a in prompt.actors}
    blobs = [((color, blob.shape), blob) for color, found in seen.items() for blob in found]
    courses = [(kind, _course(blob, _doing(blob, does.get(kind, "rests")))) for kind, blob in blobs]
    mine = [course for kind, course in courses if kind == actor.kind]
    free = lambda one: not any(one.meets(other) for _, other in courses if other is not one)
    return bool(mine) and all(course.inside and free(course) for course in mine)


class _Course(NamedTuple):
    """Where an object is over a clip: its centres [2, F], how far it reaches from them, whichever
    way it is turned [F], and the picture's width, the height being 1."""

    places: np.ndarray
    reach: np.ndarray
    width: float

    @property
    def inside(self) -> bool:
        x, y = self.places
        out = np.maximum(np.maximum(-x, x - self.width), np.maximum(-y, y - 1)) + self.reach
        return bool(out.max() <= TOLERANCE)

    def meets(self, other: _Course) -> bool:
        free = np.hypot(*(self.places - other.places)) - self.reach - other.reach
        return bool(free.min() < -TOLERANCE)


def _course(blob: Blob, body: Body) -> _Course:
    x, y, radius, _ = track(body, _MOMENTS)
    height, width = blob.mask.shape
    reach = radius * REACH.get(blob.shape, 1.0)  # of what is too large for a shape, a circle
    return _Course(np.stack([x, y]), reach, width / height)


def _body(blob: Blob) -> Body:
    radius = math.sqrt(blob.mask.sum() / math.pi) / len(blob.mask)
    return Body(0, radius, ((0.0, blob.x, blob.y),))


def _doing(blob: Blob, does: str) -> Body:
    """The object, doing as little of it as a drawn one may."""
    ways = [WAYS[way] for way in does.split(" then ") if way in WAYS]
    body = _sent(_body(blob), ways, STAGE if len(ways) > 1 else TRAVEL)
    return replace(body, **ACTING.get(does, {}))


def _sent(body: Body, ways: Sequence[tuple[float, float]], length: float) -> Body:
    """The body, going each way in turn for a length."""
    _, x, y = body.path[0]
    path = [body.path[0]]
    for stage, (dx, dy) in enumerate(ways, start=1):
        x, y = x + dx * length, y + dy * length
        path.append((stage / len(ways), x, y))
    return replace(body, path=tuple(path))
