"""Scores of pictures of the tiny world, which its own eye reads without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import AnchorError
from .scoring import Score

NOTHING_ELSE = "Is there nothing else in the picture?"
Wanted = tuple[str, str, int]  # colour, shape, how many


def tiny_questions(entities: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is asked about each picture, one question for each kind of object and one for the rest.

    Raises AnchorError for what the tiny world does not know.
    """
    questions = [
        f"Is there a {color} {shape}?" if count == 1 else f"Are there {count} {color} {shape}s?"
        for color, shape, count in _wanted(entities)
    ]
    return [*questions, NOTHING_ELSE]


def tiny_scores(
    pictures: Sequence[Image.Image], entities: Sequence[Mapping[str, Any]]
) -> list[Score]:
    """The answers to `tiny_questions` for each picture."""
    from ..tiny.glance import glance

    wanted = _wanted(entities)
    scores = []
    for picture in pictures:
        seen = glance(np.asarray(picture.convert("RGB")))
        answers = [seen.count((color, shape)) == count for color, shape, count in wanted]
        scores.append(Score((*answers, len(seen) == sum(count for *_, count in wanted))))
    return scores


def _wanted(entities: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    from ..tiny.world import COLORS, SHAPES

    wanted: dict[tuple[str, str], int] = {}
    for entity in entities:
        noun = str(entity.get("noun")).removesuffix("s")
        attributes, count = entity.get("attributes"), entity.get("count")
        colors = [c for c in COLORS if isinstance(attributes, list) and c in attributes]
        if noun not in SHAPES or len(colors) != 1:
            raise AnchorError(
                f"the tiny world does not know {str(entity.get('text') or noun)[:60]!r}; it has "
                f"one colour ({', '.join(COLORS)}) and one shape ({', '.join(SHAPES)}) for each "
                "thing. Choose another backend for other pictures."
            )
        kind = colors[0], noun
        wanted[kind] = wanted.get(kind, 0) + (max(1, count) if isinstance(count, int) else 1)
    return [(*kind, count) for kind, count in wanted.items()]
