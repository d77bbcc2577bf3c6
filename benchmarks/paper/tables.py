"""Scores of prompts -> Tables 1, 2, 7 and sections 4.1, 6.1: means, 95% intervals, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.paper.ways import (
    CONTROL,
    FEW,
    FVG,
    MOTION,
    NO_LORA,
    NO_TEXT,
    NOISED,
    RAW,
    SHARED,
    T2V,
    TRUE,
    UPSAMPLED,
    WAYS,
    Cell,
    key,
)
from fvg_core.categories import CATEGORIES

# A row: {"category", "index", "scores": {key of a cell: [score of each seed]}}.
Row = dict[str, Any]
Interval = tuple[float, float]  # mean, half of the 95% interval

MAIN = (T2V, UPSAMPLED, CONTROL, FVG, TRUE)


def values(rows: list[Row], cell: str, part: str = "scores") -> dict[str, np.ndarray]:
    """By category the score of each prompt, averaged over its seeds."""
    found: dict[str, list[float]] = {c: [] for c in CATEGORIES}
    for row in rows:
        found[row["category"]].append(float(np.mean(row[part][cell])))
    return {c: np.array(v) for c, v in found.items() if v}


def interval(sample: Sequence[float]) -> Interval:
    """Mean over prompts and 1.96 standard errors."""
    error = np.std(sample, ddof=1) / len(sample) ** 0.5 if len(sample) > 1 else np.nan
    return float(np.mean(sample)), float(1.96 * error)


def average(by_category: dict[str, np.ndarray]) -> Interval:
    """Mean of the categories' means, each with the same weight."""
    parts = [interval(v) for v in by_category.values()]
    mean = np.mean([m for m, _ in parts])
    return float(mean), float(np.sqrt(np.sum(np.square([e for _, e in parts]))) / len(parts))


def against(rows: list[Row], cell: str, base: str) -> Interval:
    """Paired difference of a cell from another over the same prompts, averaged like `average`."""
    mine, theirs = values(rows, cell), values(rows, base)
    return average({c: mine[c] - theirs[c] for c in mine})


def relative(rows: list[Row], cell: str, base: str) -> str:
    """The same as a share of the base's average."""
    whole = average(values(rows, base))[0]
    return f"{100 * against(rows, cell, base)[0] / whole:+.1f}%" if whole else "undefined"


def markdown(rows: list[Row], steps: tuple[int, ...]) -> str:
    """All tables of these rows."""
    most = max(steps)
    main = [(w, n) for w in MAIN for n in WAYS[w].steps if n in steps]
    parts = [
        _table(rows, "Table 2: scores", main, (T2V, most)),
        _first(rows, steps),
        _table(
            rows,
            "Section 4.1: the anchor without what the paper adds",
            [(TRUE, FEW), (NO_LORA, FEW), (SHARED, FEW), (NOISED, FEW)],
            (TRUE, FEW),
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


def _table(rows: list[Row], title: str, cells: list[Cell], base: Cell) -> str:
    present = [c for c in CATEGORIES if any(r["category"] == c for r in rows)]
    head = f"less {base[0]}, {base[1]} steps"
    lines = [
        f"## {title}",
        "",
        f"| way | steps | {' | '.join(present)} | average | {head} | relative |",
        "|---|---|" + "---|" * (len(present) + 3),
    ]
    under = key(base)
    for way, n in cells:
        cell = key((way, n))
        found = values(rows, cell)
        columns = [_text(interval(found[c])) for c in present]
        columns += [_text(average(found)), _text(against(rows, cell, under), "+")]
        lines.append(f"| {way} | {n} | {' | '.join(columns)} | {relative(rows, cell, under)} |")
    return "\n".join([*lines, ""])


def table1(steps: tuple[int, ...]) -> list[Cell]:
    """The cells of Table 1."""
    return [(T2V, max(steps)), (NO_TEXT, FEW), (TRUE, FEW)]


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
        lines.append(f"| {way} | {n} | {' | '.join(map(_text, parts))} |")
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
            shown = _text(against(rows, *cells), "+")
            lines.append(f"| {way} | {n} | {shown} | {relative(rows, *cells)} |")
    return [*lines, ""]


def text_of(sample: Sequence[float]) -> str:
    """'0.500 ± 0.100' of values of prompts."""
    return _text(interval(sample))


def _text(value: Interval, sign: str = "") -> str:
    return f"{value[0]:{sign}.3f} ± {value[1]:.3f}"
