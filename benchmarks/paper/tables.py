"""Scores of prompts -> Tables 1, 2, 7 and sections 4.1, 6.1: means, 95% intervals, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.paper.ways import (
    CONTROL,
    FEW,
    FVG,
    MOTION,
    NO_LORA,
    NOISED,
    RAW,
    SHARED,
    STILL,
    T2V,
    TRUE,
    TRUE_STILL,
    UPSAMPLED,
    WAYS,
    Cell,
    key,
    table1,
)
from fvg_core.categories import CATEGORIES
from fvg_core.tiny.words import STATIC

# A row: {"category", "index", "scores": {key of a cell: [score of each seed]}}.
Row = dict[str, Any]
# Mean, and half of the 95% interval: nan where there are too few prompts for one.
Interval = tuple[float, float]
LEAST = 5  # prompts of a category for an interval
UNSEEN = 3  # over n: how often what n videos never showed may still happen

MAIN = (T2V, UPSAMPLED, CONTROL, FVG, TRUE)
HELD = ((STILL, 0), (TRUE_STILL, 0))
UPSAMPLING = (
    f"*{UPSAMPLED}* adds the ground, its texture and the plainest words, which no score here "
    "reads: it can hardly gain what the paper's upsampling gains, and being over it says less."
)
WITHOUT_LORA = (NO_LORA, SHARED, NOISED)


def values(rows: list[Row], cell: str, part: str = "scores") -> dict[str, np.ndarray]:
    """By category the score of each prompt, averaged over its seeds."""
    found: dict[str, list[float]] = {c: [] for c in CATEGORIES}
    for row in rows:
        found[row["category"]].append(float(np.mean(row[part][cell])))
    return {c: np.array(v) for c, v in found.items() if v}


def interval(sample: Sequence[float]) -> Interval:
    """Mean over prompts, by Student's t."""
    return average({"": np.asarray(sample)})


def average(by_category: dict[str, np.ndarray]) -> Interval:
    """Mean of the categories' means, each with the same weight, by Student's t with the degrees
    of freedom of Welch and Satterthwaite."""
    samples = by_category.values()
    mean = float(np.mean([np.mean(s) for s in samples]))
    counts = np.array([len(s) for s in samples])
    if counts.min() < LEAST:
        return mean, float("nan")
    errors = np.array([np.var(s, ddof=1) for s in samples]) / counts  # squared
    if not errors.any():
        return mean, 0.0
    freedom = errors.sum() ** 2 / np.sum(errors**2 / (counts - 1))
    half = stats.t.ppf(0.975, freedom) * errors.sum() ** 0.5 / len(counts)
    return mean, float(half)


def unseen(found: Interval, videos: int) -> Interval:
    """A mean paired difference with what so many videos may not have shown.

    What none of n showed may still happen in 3 / n of them (the rule of three, 95%: Hanley and
    Lippman-Hand, JAMA 249, 1743, 1983), and a score is lost by 1 at most. Added to the half-width
    of what was seen as errors are, in quadrature: with the larger of both alone a loss at the
    limit of `goals` would be called none in up to one run of eight.
    """
    mean, half = found
    return mean, float(np.hypot(half, UNSEEN / videos))


def videos(rows: list[Row], cell: str) -> int:
    """How many videos of a cell were scored."""
    return sum(len(row["scores"][cell]) for row in rows)


def against(rows: list[Row], cell: str, base: str, share: float = 1.0) -> Interval:
    """Paired difference of a cell from a share of another over the same prompts, averaged like
    `average`, with what was not seen."""
    mine, theirs = values(rows, cell), values(rows, base)
    return unseen(average({c: mine[c] - share * theirs[c] for c in mine}), videos(rows, cell))


def relative(rows: list[Row], cell: str, base: str) -> str:
    """The same as a share of the base's average."""
    whole = average(values(rows, base))[0]
    return f"{100 * against(rows, cell, base)[0] / whole:+.1f}%" if whole else "undefined"


def difference(rows: list[Row], cell: str, base: str) -> tuple[str, str]:
    """Both as a page shows them: nothing for a cell against itself."""
    if cell == base:
        return "", ""
    return shown(against(rows, cell, base), "+"), relative(rows, cell, base)


def markdown(rows: list[Row], steps: tuple[int, ...]) -> str:
    """All tables of these rows."""
    most = max(steps)
    main = [(w, n) for w in MAIN for n in WAYS[w].steps if n in steps]
    parts = [
        _table(rows, "Table 2: scores", [*main, *HELD], (T2V, most), UPSAMPLING),
        _halves(rows, most),
        _first(rows, steps),
        _table(
            rows,
            "Section 4.1: the anchor without what the paper adds",
            [(TRUE, FEW), *((way, FEW) for way in WITHOUT_LORA)],
            (TRUE, FEW),
            _without_lora(rows),
        ),
        _table(
            rows,
            "Section 6.1: words for the anchor, and for the video",
            [(FVG, FEW), (RAW, FEW), (MOTION, FEW), (T2V, FEW)],
            (FVG, FEW),
        ),
        _named(rows),
    ]
    return "\n".join([*parts, *_change(rows, steps, most)])


def _halves(rows: list[Row], most: int) -> str:
    """Table 2 without and with motion."""
    kinds = [[r for r in rows if (r["category"] in STATIC) == still] for still in (True, False)]
    earned = [f"{average(values(part, key(HELD[-1])))[0]:.3f}" for part in (rows, *kinds)]
    lines = [
        "## Table 2 in two: who is there, and what happens",
        "",
        f"A picture that never moves earns {earned[0]} on average: the true first frame held still "
        f"has {earned[1]} in {', '.join(STATIC)}, where scores ask who is there and not for "
        f"motion, and {earned[2]} in the others, where something must happen.",
        "",
        f"| way | steps | who is there | less {T2V}, {most} steps | something must happen | "
        f"less {T2V}, {most} steps |",
        "|---|---|---|---|---|---|",
    ]
    under = key((T2V, most))
    for way, n in ((T2V, most), (T2V, FEW), (CONTROL, most), (FVG, FEW), (TRUE, FEW), *HELD):
        cell = key((way, n))
        parts = [
            text
            for part in kinds
            for text in (shown(average(values(part, cell))), difference(part, cell, under)[0])
        ]
        lines.append(f"| {way} | {n} | {' | '.join(parts)} |")
    return "\n".join([*lines, ""])


def _without_lora(rows: list[Row]) -> str:
    """What section 4.1 says, and of which row."""
    score = lambda way: average(values(rows, key((way, FEW))))[0]
    best = max(WITHOUT_LORA, key=score)
    return (
        "The paper says that its method fails without finetuning: the clean frame at timestep 0 "
        f"among noisy ones, here *{NO_LORA}*. It says nothing of *{SHARED}*, the clean frame at "
        f"the timestep of the noisy ones, and *{NOISED}*, inpainting as ComfyUI has it. Of these "
        f"three *{best}* ({score(best):.3f}) comes nearest to the LoRA."
    )


def _table(rows: list[Row], title: str, cells: list[Cell], base: Cell, note: str = "") -> str:
    present = [c for c in CATEGORIES if any(r["category"] == c for r in rows)]
    head = f"less {base[0]}, {base[1]} steps"
    lines = [
        f"## {title}",
        "",
        *([note, ""] if note else []),
        f"| way | steps | {' | '.join(present)} | average | {head} | relative |",
        "|---|---|" + "---|" * (len(present) + 3),
    ]
    under = key(base)
    for way, n in cells:
        cell = key((way, n))
        found = values(rows, cell)
        columns = [shown(interval(found[c])) for c in present]
        columns += [shown(average(found)), *difference(rows, cell, under)]
        lines.append(f"| {way} | {n} | {' | '.join(columns)} |")
    return "\n".join([*lines, ""])


def _first(rows: list[Row], steps: tuple[int, ...]) -> str:
    lines = [
        "## Table 1: what the anchor gives and what the words give",
        "",
        "*Scene*: who is there, in colour, shape and number, whatever happens (in place of FID). "
        "*All*: what happens as well (in place of FVD).",
        "",
        "| way | steps | scene | all |",
        "|---|---|---|---|",
    ]
    for way, n in table1(steps):
        parts = [average(values(rows, key((way, n)), part)) for part in ("scene", "scores")]
        lines.append(f"| {way} | {n} | {' | '.join(map(shown, parts))} |")
    return "\n".join([*lines, ""])


def _named(rows: list[Row]) -> str:
    """How often the rewriter kept everything: what it drops no anchor can show."""
    lines = ["First-frame prompts that name every object with its colour and number:", ""]
    for category in CATEGORIES:
        kept = [row["names_all"] for row in rows if row["category"] == category]
        if kept:
            lines.append(f"- {category}: {sum(kept)} of {len(kept)}")
    return "\n".join([*lines, ""])


def change(rows: list[Row], steps: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """By way and steps the change of the average, in percent of that at most steps (Table 7)."""
    most, found = max(steps), {}
    for way in (w for w in MAIN if most in WAYS[w].steps):
        whole = average(values(rows, key((way, most))))[0]
        if whole:
            parts = {n: against(rows, key((way, n)), key((way, most)))[0] for n in steps}
            found[way] = {n: 100 * part / whole for n, part in parts.items()}
    return found


def _change(rows: list[Row], steps: tuple[int, ...], most: int) -> list[str]:
    lines = [
        f"## Table 7: change of the average against {most} steps of the same way",
        "",
        "| way | steps | difference | relative |",
        "|---|---|---|---|",
    ]
    for way in (w for w in MAIN if most in WAYS[w].steps):
        for n in (n for n in WAYS[way].steps if n in steps and n != most):
            cells = key((way, n)), key((way, most))
            lines.append(f"| {way} | {n} | {' | '.join(difference(rows, *cells))} |")
    return [*lines, ""]


def text_of(sample: Sequence[float]) -> str:
    """'0.500 ± 0.100' of values of prompts."""
    return shown(interval(sample))


def shown(value: Interval, sign: str = "") -> str:
    """'0.500 ± 0.100', or the mean alone: for few prompts, and where all score alike, which is no
    certainty."""
    mean, half = value
    return f"{mean:{sign}.3f}" + (f" ± {half:.3f}" if half >= 0.0005 else "")


def counted(number: int, thing: str) -> str:
    """'1 prompt', '2 prompts'."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
