"""What three judged videos of one prompt say about the first of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tiny.world import Scene
from .branches import FVG, OWN, T2V


@dataclass(frozen=True)
class Judged:
    """first_frame: it shows every object and no other; objects: per object of the prompt, what of
    'color', 'shape' and 'motion' is wrong over the video; extra: something that was not asked."""

    first_frame: bool
    objects: tuple[tuple[str, ...], ...]
    extra: bool

    @property
    def right(self) -> bool:
        return not self.extra and not any(self.objects)

    def words(self, scene: Scene) -> str:
        """What is wrong, for a person."""
        faults = [
            f"the {t.color} {t.shape}: {', '.join(wrong)}"
            for t, wrong in zip(scene.things, self.objects, strict=True)
            if wrong
        ]
        faults += ["an object that was not asked for"] if self.extra else []
        frame = "first frame right" if self.first_frame else "first frame wrong"
        return f"{frame}; {'; '.join(faults) if faults else 'video right'}"


def judge(frames: np.ndarray, scene: Scene) -> Judged:
    """Judge uint8 frames [F, H, W, 3] with the tiny world's exact checker."""
    from ..tiny.checker import check_frame, check_video

    found = check_video(frames, scene)
    parts = ("color", "shape", "motion")
    objects = tuple(tuple(p for p in parts if not getattr(o, p)) for o in found.objects)
    return Judged(check_frame(frames[0], scene), objects, found.extra)


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
