"""What every rewriting backend takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

VIDEO_PROMPTS = ("original", "upsampled", "motion only")


@dataclass(frozen=True)
class Entity:
    """One thing of the first frame. `count` is 0 where the prompt says no number ("some birds")."""

    text: str
    noun: str
    count: int
    attributes: tuple[str, ...]
    position: str | None


@dataclass(frozen=True)
class Check:
    """One check on a finished text; `detail` names what is wrong, or what was measured."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Question:
    """A yes/no question about the first frame, for a model that looks at a picture of it.

    The right answer is yes. `entity` is the noun it is about.
    """

    question: str
    entity: str


@dataclass(frozen=True)
class Attempt:
    """One reply of a language model: for which text, and the checks that it failed."""

    text: str  # "first frame", "upsampled" or "motion only"
    failed: tuple[Check, ...]


@dataclass(frozen=True)
class Report:
    """Where a rewrite comes from and what is known of it. Its fields are the report's JSON keys."""

    prompt: str  # the original
    backend: str  # who was asked
    written_by: str  # the same, or "rules" where they stood in
    model: str  # of a language model; no address, no key
    seed: int
    variation: int  # 0: the first
    style: str
    language: str
    entities: tuple[Entity, ...]
    removed: list[str]  # by the rules
    added: list[str]  # by the rules
    checks: tuple[Check, ...]  # of the first-frame prompt
    video_checks: tuple[Check, ...]  # of a video prompt that is not the original
    checklist: tuple[Question, ...]
    attempts: tuple[Attempt, ...]
    note: str  # what the user should know: a fallback, a check that never passed
    seconds: float


@dataclass(frozen=True)
class Rewrite:
    """A prompt for frame 0, and one for the video: the original by default (paper, Eq. 4).

    `report` is a `Report` as plain dicts, lists and numbers.
    """

    first_frame_prompt: str
    video_prompt: str
    report: dict


@dataclass(frozen=True)
class Options:
    """How to rewrite. Lengths are in words and bind language models only."""

    video_prompt: str = "original"
    style: str = "none"
    language: str = "English"
    min_words: int = 20
    max_words: int = 120
    attempts: int = 3
    rules_as_fallback: bool = False
    variations: int = 1


@dataclass(frozen=True)
class Watch:
    """How the caller follows and stops the work: `tick` may raise; `step` counts rewrites done."""

    tick: Callable[[], None] = field(default=lambda: None)
    step: Callable[[int, int], None] = field(default=lambda done, total: None)
