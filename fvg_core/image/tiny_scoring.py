"""Scores of pictures of the tiny world, which its own eye reads without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .scoring import Score

NOTHING_ELSE = "Is there nothing else in the picture?"
Wanted = tuple[str, str, int]  # colour, shape, how many
Kind = tuple[str, str]  # colour, shape
_STEPS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}  # right and down


def not_known(entities: Sequence[Mapping[str, Any]]) -> str | None:
    """What a prompt names beyond the tiny world, for a person; None where it knows all."""
    from ..tiny.world import COLORS, SHAPES

    strange = next((e for e in entities if _kind(e) is None), None)
    if entities and strange is None:
        return None
    what = str(strange.get("text") or strange.get("noun"))[:60] if strange else ""
    named = f"does not know {what!r}" if strange else "finds nothing to look for"
    return (
        f"No scores: the tiny world {named}; it has {', '.join(COLORS)} and {', '.join(SHAPES)}, "
        "one colour and one shape for each thing. Choose another backend for other pictures."
    )


def tiny_questions(entities: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is asked about each picture: one question for each kind of object, one for the rest,
    and one for each kind that is to move. Of entities that the tiny world knows."""
    questions = [
        f"Is there a {color} {shape}?" if count == 1 else f"Are there {count} {color} {shape}s?"
        for color, shape, count in _wanted(entities)
    ]
    rooms = [f"Is there room for a {' '.join(kind)} to move?" for kind in _moves(entities)]
    return [*questions, NOTHING_ELSE, *rooms]


def tiny_scores(
    pictures: Sequence[Image.Image], entities: Sequence[Mapping[str, Any]]
) -> list[Score]:
    """The answers to `tiny_questions` for each picture."""
    from ..tiny.glance import glance, has_room

    wanted = _wanted(entities)
    moves = _moves(entities)
    scores = []
    for picture in pictures:
        seen = glance(np.asarray(picture.convert("RGB")))
        kinds = [(one.color, one.shape) for one in seen]
        answers = [kinds.count((color, shape)) == count for color, shape, count in wanted]
        answers.append(len(seen) == sum(count for *_, count in wanted))
        scores.append(Score((*answers, *(has_room(seen, moves, kind) for kind in moves))))
    return scores


def _moves(entities: Sequence[Mapping[str, Any]]) -> dict[Kind, tuple[int, int]]:
    """The way that each kind of object goes; of one that goes several ways, the first."""
    moves: dict[Kind, tuple[int, int]] = {}
    for entity in entities:
        if (step := _STEPS.get(str(entity.get("heading")))) and (kind := _kind(entity)):
            moves.setdefault(kind, step)
    return moves


def _wanted(entities: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    wanted: dict[Kind, int] = {}
    for entity in entities:
        kind, count = _kind(entity), entity.get("count")
        wanted[kind] = wanted.get(kind, 0) + (max(1, count) if isinstance(count, int) else 1)
    return [(*kind, count) for kind, count in wanted.items()]


def _kind(entity: Mapping[str, Any]) -> Kind | None:
    """Colour and shape, or None for what is not of the tiny world."""
    from ..tiny.world import COLORS, SHAPES

    noun, attributes = str(entity.get("noun")).removesuffix("s"), entity.get("attributes")
    colors = [c for c in COLORS if isinstance(attributes, list) and c in attributes]
    return (colors[0], noun) if noun in SHAPES and len(colors) == 1 else None
