"""A language model that gives recorded replies, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fvg_core.errors import LanguageModelError
from fvg_core.llm import Message, Sampling
from fvg_core.llm.chat import clean

PROMPT = "Two brown dogs run across a snowy field and jump over a fallen log."
GOOD_TEXT = (
    "A wide shot of two brown dogs standing at the near edge of a snowy field, calm and alert, "
    "facing a fallen log a few metres ahead of them, in soft and even morning light."
)
OTHER_TEXT = (
    "Seen from far above and behind, a snowy field with a single fallen log in the middle; at the "
    "bottom of the picture two brown dogs wait side by side, small under a dark evening sky."
)
ENTITIES = [
    {"noun": "dogs", "count": 2, "attributes": ["brown"], "position": "at the edge of a field"},
    {"noun": "field", "count": 1, "attributes": ["snowy"], "position": None},
    {"noun": "log", "count": 1, "attributes": ["fallen"], "position": None},
]


def as_json(text: str, entities: Sequence[dict] = ENTITIES) -> str:
    return json.dumps({"entities": list(entities), "text": text})


GOOD = as_json(GOOD_TEXT)


class Replays:
    """Gives `replies` in turn, then fails. `opened` and `closed` count."""

    name, key, sees = "replay: recorded", "replay 1", False

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked: list[list[Message]] = []
        self.sampled: list[Sampling] = []
        self.opened = self.closed = 0

    def reply(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tick: Callable[[], None] = lambda: None,
    ) -> str:
        tick()
        self.asked.append(list(messages))
        self.sampled.append(sampling)
        if not self.replies:
            raise LanguageModelError("no reply is left")
        return clean(self.replies.pop(0), self.name)

    @contextmanager
    def open(self) -> Iterator[Replays]:
        self.opened += 1
        try:
            yield self
        finally:
            self.closed += 1
