"""What three judged videos of one prompt say about the first of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tiny.scorer import RIGHT, beside, cast, composition, score
from ..tiny.seeing import look
from ..tiny.words import SIDES, Prompt
from .branches import FVG, OWN, T2V


@dataclass(frozen=True)
class Judged:
    """first_frame: it shows who the prompt names, each on its side, and nobody else; composition,
    score: of the video that follows, how well it shows who is there and all that is asked, 0 to 1.
    """

    first_frame: bool
    composition: float
    score: float

    @property
    def right(self) -> bool:
        return self.score >= RIGHT

    @property
    def words(self) -> str:
        """What is right and wrong, for a person."""
        frame = "first frame right" if self.first_frame else "first frame wrong"
        video = "right" if self.right else "wrong"
        return (
            f"{frame}; video {video} (who is there {self.composition:.2f}, "
            f"all that is asked {self.score:.2f})"
        )


def judge(frames: np.ndarray, prompt: Prompt) -> Judged:
    """Judge uint8 frames [F, H, W, 3] with the tiny world's exact scorer."""
    first = look(frames[:1])
    shown = cast(first, prompt.actors) == 1
    if prompt.relation in SIDES:
        shown = shown and beside(first, prompt.actors, prompt.relation) == 1
    return Judged(shown, composition(frames, prompt), score(frames, prompt))


def verdict(judged: dict[str, Judged]) -> tuple[str, str]:
    """(kind, plain words). Kinds: 'none', 'motion', 'composition', 'anchor', 'both'."""
    t2v, own, fvg = (judged[way] for way in (T2V, OWN, FVG))
    if t2v.right:
        return "none", "Nothing failed: plain text-to-video shows what the prompt asks for."
    if own.right:
        return "motion", (
            "A failure of motion: the first frame that text-to-video made was good enough. Held "
            "fixed, with the anchor LoRA, the same frame leads to the right video."
        )
    if fvg.right:
        return "composition", (
            "A failure of composition: held fixed, text-to-video's own first frame leads to a "
            "wrong video again; from a right first frame the same model makes the right one."
        )
    if not fvg.first_frame:
        return "anchor", (
            "Undecided: the drawn first frame is wrong too, so that motion was never tried from a "
            "right one. Draw other candidates, or choose another (another seed)."
        )
    if t2v.first_frame:
        return "motion", (
            "A failure of motion: even from a right first frame, its own or a drawn one, the video "
            "model does not do what the prompt asks for."
        )
    return "both", (
        "Both failed: text-to-video's own first frame is wrong, and from a right one the video "
        "model does not do what the prompt asks for either."
    )
