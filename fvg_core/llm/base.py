"""What every language-model backend offers: one message list in, one text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[Image.Image, ...] = ()  # only for models that see


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn."""

    seed: int = 0
    max_tokens: int = 1024
    temperature: float = 0.7  # 0: greedy
    structured: bool = False  # ask for JSON where the backend can enforce it


class LanguageModel(Protocol):
    """A model that is loaded, for as long as the `with` that opened it."""

    name: str  # for reports, e.g. "transformers: Qwen2.5-7B-Instruct"; no address and no key
    key: str  # changes with the model's files or the configured model; for results on disk
    sees: bool  # takes images

    def reply(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tick: Callable[[], None] = lambda: None,
    ) -> str:
        """The assistant's next text.

        `tick` is called at least once a second while waiting or generating, and may raise to
        stop. Raises LanguageModelError; EmptyReplyError where the model says nothing.
        """
        ...
