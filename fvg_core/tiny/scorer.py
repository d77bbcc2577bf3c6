"""How well a video shows what a prompt asks for: 0 to 1, from its pixels alone.

Frame 0 is left out: where an anchor is given, it is given and not made. But what is seen in it
must not leap away in the next one. A claim about single frames counts in full if nine tenths of
them agree, and for nothing if half of them do not. The score is that of the weakest claim, as one
wrong object makes a prompt wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from .seeing import PERIOD, Blob, Frame, gap, look
from .words import SIDES, WAYS, Actor, Prompt

RIGHT = 0.5  # least score of a video that counts as right
STILL = 0.065  # way of a centre that counts as resting
GO = 0.12  # least way of a stage; drawn: 0.15 and more in a half
TOUCH, FREE = 0.05, 0.075  # gaps of touching and of separate objects
JUMP = 0.25  # farthest way between the last frame in one colour and the first in the next
LEAP = 0.15  # farthest way from one frame to the next; drawn: 0.081 at most
_EARLY, _LATE = 0.28, 0.72  # shares of the clip before and after which a change is judged


def score(pixels: np.ndarray, prompt: Prompt) -> float:
    """Judge uint8 pixels [F, H, W, 3] by a prompt."""
    anchor, *frames = look(pixels)
    claims = [flows([anchor, *frames], prompt.actors)]
    if _changing(prompt):
        claims.append(_changes_color(frames, prompt.actors))
        claims += [float(happening(track(frames, a.color)) == a.does) for a in prompt.actors[1:]]
        return min(claims)
    claims.append(cast(frames, prompt.actors))
    if prompt.relation in SIDES:
        claims.append(beside(frames, prompt.actors, prompt.relation))
    elif prompt.relation:
        claims.append(_meets(frames, prompt))
    else:
        told = [a for a in prompt.actors if a.does != "drifts" and a.count == 1]
        if prompt.category != "generative_numeracy":
            claims += [float(happening(track(frames, a.color)) == a.does) for a in told]
    return min(claims)


def composition(pixels: np.ndarray, prompt: Prompt) -> float:
    """How well uint8 pixels [F, H, W, 3] show who is there, whatever happens: 0 to 1. Where a
    colour changes, before it does."""
    frames = look(pixels[1:])
    return cast(_early(frames) if _changing(prompt) else frames, prompt.actors)


def _changing(prompt: Prompt) -> bool:
    return prompt.category == "dynamic_attr" and bool(prompt.actors[0].becomes)


def _early(frames: Sequence[Frame]) -> Sequence[Frame]:
    return frames[: round(_EARLY * len(frames))]


def steady(flags: Iterable[bool]) -> float:
    """1 if nine tenths of the flags are true, 0 if half are, a straight line between."""
    share = np.mean(list(flags))
    return float(np.clip((share - 0.5) / 0.4, 0, 1))


def track(frames: Sequence[Frame], color: str) -> list[Blob | None]:
    """The only blob of a colour in every frame, None where there is not exactly one."""
    return [f[color][0] if len(f.get(color, ())) == 1 else None for f in frames]


def cast(frames: Sequence[Frame], actors: Sequence[Actor]) -> float:
    """How steadily every actor is there, in its (first) colour, shape and number, and nobody
    else: 0 to 1."""
    counted = [steady(len(f.get(a.color, ())) == a.count for f in frames) for a in actors]
    shapes = [
        [all(b.shape == a.shape for b in f[a.color]) for f in frames if f.get(a.color)]
        for a in actors
    ]
    shown = [steady(flags) if flags else 0.0 for flags in shapes]
    named = {a.color for a in actors}
    return min(*counted, *shown, steady(not any(f[c] for c in f if c not in named) for f in frames))


def flows(frames: Sequence[Frame], actors: Sequence[Actor]) -> float:
    """0 if anything leaps from one frame to the next, as at a cut; else 1. Of each colour the
    frames that show as many as there should be, with the time between them."""
    for color, count in {(c, a.count) for a in actors for c in (a.color, a.becomes) if c}:
        shown = [(t, f[color]) for t, f in enumerate(frames) if len(f.get(color, ())) == count]
        for (t, before), (u, after) in pairwise(shown):
            ways = np.array([[np.hypot(a.x - b.x, a.y - b.y) for b in before] for a in after])
            if max(ways.min(0).max(), ways.min(1).max()) > LEAP * (u - t):
                return 0.0
    return 1.0


def _changes_color(frames: Sequence[Frame], actors: Sequence[Actor]) -> float:
    """The first actor in its first colour early and in its last one late, at the same place; no
    judgement in between, where colours mix."""
    first, rest = actors[0], list(actors[1:])
    early = _early(frames)
    late = frames[round(_LATE * len(frames)) :]
    last = Actor(first.becomes, first.shape)
    seen = min(cast(early, [first, *rest]), cast(late, [last, *rest]))
    before = [b for b in track(early, first.color) if b]
    after = [b for b in track(late, last.color) if b]
    if not before or not after:
        return 0.0
    way = np.hypot(after[0].x - before[-1].x, after[0].y - before[-1].y)
    return seen * float(way < JUMP)


def beside(frames: Sequence[Frame], actors: Sequence[Actor], side: str) -> float:
    """How steadily the first of two actors is on a side, of SIDES, of the second: 0 to 1."""
    dx, dy = SIDES[side]
    a, b = (track(frames, actor.color) for actor in actors)
    holds = []
    for p, q in zip(a, b, strict=True):
        along = (p.x - q.x) * dx + (p.y - q.y) * dy if p and q else 0
        across = abs((p.x - q.x) * dy) + abs((p.y - q.y) * dx) if p and q else 0
        holds.append(along > max(0.12, across))
    return steady(holds)


def happening(blobs: Sequence[Blob | None]) -> str | None:
    """What a single object does, of DOES, or None for anything else."""
    seen = [b for b in blobs if b]
    if len(seen) < 0.7 * len(blobs):
        return None
    x, y, area = (np.array([getattr(b, k) for b in seen]) for k in ("x", "y", "area"))
    wide, high = np.ptp(x), np.ptp(y)
    growth = np.median(area[-3:]) / np.median(area[:3])
    if growth > 1.7 or growth < 1 / 1.7:
        told = "grows" if growth > 1 else "shrinks"
        return told if max(wide, high) < GO else None
    if max(wide, high) < STILL:
        return "spins" if abs(rotation(seen)) > 0.15 else "rests"
    if high > GO and wide < 0.4 * high and reversals(y) >= 2:
        return "bounces"
    if wide > GO and high < 0.4 * wide and reversals(x) >= 2:
        return "sways"
    middle = len(seen) // 2
    first = _way(x[middle] - x[0], y[middle] - y[0])
    second = _way(x[-1] - x[middle], y[-1] - y[middle])
    whole = _way(x[-1] - x[0], y[-1] - y[0], 2 * GO)
    if whole and {first, second} <= {whole, None}:  # it may be slow at first
        return whole
    return f"{first} then {second}" if first and second and first != second else None


def rotation(blobs: Sequence[Blob]) -> float:
    """Turns of an object over a video, 0 for a shape that looks the same at every angle."""
    names = [b.shape for b in blobs]
    shape = max(set(names), key=names.count)
    if shape not in PERIOD:
        return 0.0
    angles = np.array([b.angle for b in blobs if b.shape == shape])
    return float(np.ptp(np.unwrap(angles, period=PERIOD[shape])))


def reversals(values: np.ndarray) -> int:
    """How often a course turns back, by a third of its range or more."""
    turns, sign, extreme = 0, 0, values[0]
    for v in values:
        if sign == 0 or (v - extreme) * sign > 0:
            if abs(v - extreme) > np.ptp(values) / 3 or sign:
                sign, extreme = (int(np.sign(v - extreme)) or sign), v
        elif abs(v - extreme) > np.ptp(values) / 3:
            turns, sign, extreme = turns + 1, -sign, v
    return turns


def _way(dx: float, dy: float, least: float = GO) -> str | None:
    """The way of WAYS that a step goes, None for a short or slanting one."""
    if max(abs(dx), abs(dy)) < least or min(abs(dx), abs(dy)) > 0.6 * max(abs(dx), abs(dy)):
        return None
    step = (int(np.sign(dx)), 0) if abs(dx) > abs(dy) else (0, int(np.sign(dy)))
    return next(way for way, s in WAYS.items() if s == step)


def _meets(frames: Sequence[Frame], prompt: Prompt) -> float:
    """1 if the first actor does to the second what the prompt says, else 0."""
    tracks = (track(frames, actor.color) for actor in prompt.actors)
    pairs = [(a, b) for a, b in zip(*tracks, strict=True) if a and b]
    if len(pairs) < 0.7 * len(frames):
        return 0.0
    gaps = np.array([gap(a, b) for a, b in pairs])
    places = np.array([[(b.x, b.y) for b in pair] for pair in pairs]).swapaxes(0, 1)
    touching = np.flatnonzero(gaps < TOUCH)
    if not len(touching) or touching[0] < 2 or gaps[0] < FREE:
        return 0.0
    t = touching[0]
    toward = places[1, 0] - places[0, 0]
    toward = toward / np.linalg.norm(toward)
    before = (places[:, t] - places[:, 0]) @ toward
    after = (places[:, -1] - places[:, t]) @ toward
    return float(_MEETING[prompt.relation](*before, *after, bool(gaps[-1] < FREE)))


# Ways of the first and second object before and after they touch, toward where the second was.
_MEETING: dict[str, Callable[[float, float, float, float, bool], bool]] = {
    "pushes": lambda a, b, a2, b2, together: (
        a > 0.1 and abs(b) < STILL and min(a2, b2) > GO and together
    ),
    "knocks away": lambda a, b, a2, b2, together: (
        a > 0.1 and abs(b) < STILL and a2 < 0.08 and b2 > GO and not together
    ),
    "meets": lambda a, b, a2, b2, together: (
        a > 0.06 and b < -0.05 and max(abs(a2), abs(b2)) < 0.09 and together
    ),
}
