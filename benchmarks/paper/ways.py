"""What is compared: anchor, LoRA, words and numbers of steps of every way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LORA = "fvg_tiny_anchor_lora.safetensors"
SAMPLING = {
    "cfg": 3.0,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "shift": 3.0,
}
IMAGE_SAMPLING = {
    "steps": 30,
    "cfg": 3.0,
    "sampler_name": "euler_ancestral",
    "scheduler": "simple",
}
ALL_STEPS = (50, 30, 15, 8, 4)  # Table 7 and Fig. 4
FEW = 15  # steps of an anchored video (section 5.3)


@dataclass(frozen=True)
class Way:
    """anchor: None, 'true' (the drawn first frame), 'rewritten' or 'raw' (generated from the
    rewritten or the original prompt). words: of `Words`, what the video model is told. held: how
    the anchor gets into the video; still: it is every frame, and no video model is asked."""

    anchor: str | None = None
    lora: bool = False
    words: str = "original"
    steps: tuple[int, ...] = ALL_STEPS
    held: Literal["injected", "shared time", "noised", "still"] = "injected"


T2V, UPSAMPLED, CONTROL = "T2V", "T2V, upsampled prompt", "T2V + LoRA, no anchor"
FVG, TRUE = "FVG", "FVG, true anchor"
NO_LORA, SHARED, NOISED = "no LoRA", "no LoRA, one shared timestep", "no LoRA, noised anchor"
RAW, MOTION, NO_TEXT = "FVG, raw caption", "FVG, motion-only video prompt", "true anchor, no text"
STILL, TRUE_STILL = "generated frame held still", "true frame held still"
WAYS = {
    T2V: Way(),
    UPSAMPLED: Way(words="upsampled"),
    CONTROL: Way(lora=True),
    FVG: Way("rewritten", True),
    TRUE: Way("true", True),
    NO_TEXT: Way("true", True, "none", (FEW,)),
    NO_LORA: Way("true", steps=(FEW,)),
    SHARED: Way("true", steps=(FEW,), held="shared time"),
    NOISED: Way("true", steps=(FEW,), held="noised"),
    RAW: Way("raw", True, steps=(FEW,)),
    MOTION: Way("rewritten", True, "motion", (FEW,)),
    STILL: Way("rewritten", steps=(0,), held="still"),
    TRUE_STILL: Way("true", steps=(0,), held="still"),
}

Cell = tuple[str, int]  # of WAYS, steps


def key(cell: Cell) -> str:
    """A cell's name in rows and graphs."""
    return f"{cell[0]}/{cell[1]}"


def cells(steps: tuple[int, ...]) -> list[Cell]:
    """Every way with those of its numbers of steps that are to be made, and what takes none."""
    return [(name, n) for name, way in WAYS.items() for n in way.steps if n in (*steps, 0)]


def table1(steps: tuple[int, ...]) -> list[Cell]:
    """The cells of Table 1."""
    return [(T2V, max(steps)), (NO_TEXT, FEW), (TRUE, FEW)]


@dataclass(frozen=True)
class Words:
    """A scene in words. original: as a user may write it; upsampled: the same with nothing left
    out; motion: what moves, and no ground."""

    original: str
    upsampled: str
    motion: str
    none: str = ""
