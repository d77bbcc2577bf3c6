"""What every rewriting backend takes and gives."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entity:
    """One thing of the first frame. `count` is 0 where the prompt says no number ("some birds")."""

    text: str
    noun: str
    count: int
    attributes: tuple[str, ...]
    position: str | None


@dataclass(frozen=True)
class Rewrite:
    """A prompt for frame 0, and one for the video: the original by default (paper, Eq. 4).

    `report` is JSON-serialisable: backend, seed, entities, removed, added, seconds and
    checks [{name, passed, detail}].
    """

    first_frame_prompt: str
    video_prompt: str
    report: dict


class Rewriter(Protocol):
    name: str

    def rewrite(self, prompt: str, seed: int) -> Rewrite: ...
