"""Scores of prompts -> Table 2 and Table 7: means, 95% intervals, paired differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.paper.ways import BASE, WAYS
from fvg_core.categories import CATEGORIES

# A row: {"category", "index", "scores": {"<way>/<steps>": [score of each seed]}}.
Row = dict[str, Any]
Interval = tuple[float, float]  # mean, half of the 95% interval


def values(rows: list[Row], cell: str) -> dict[str, np.ndarray]:
    """By category the score of each prompt, averaged over its seeds."""
    found: dict[str, list[float]] = {c: [] for c in CATEGORIES}
    for row in rows:
        found[row["category"]].append(float(np.mean(row["scores"][cell])))
    return {c: np.array(v) for c, v in found.items() if v}


def interval(sample: np.ndarray) -> Interval:
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


def markdown(rows: list[Row], steps: tuple[int, ...]) -> str:
    """Both tables."""
    present = [c for c in CATEGORIES if any(r["category"] == c for r in rows)]
    most, shown = max(steps), [w for w in WAYS if set(WAYS[w].steps) & set(steps)]
    lines = [
        "## Table 2: scores",
        "",
        f"| way | steps | {' | '.join(present)} | average | less {BASE}, {most} steps |",
        "|---|---|" + "---|" * (len(present) + 2),
    ]
    for way in shown:
        for n in (n for n in WAYS[way].steps if n in steps):
            cell = f"{way}/{n}"
            found = values(rows, cell)
            cells = [_text(interval(found[c])) for c in present]
            cells += [_text(average(found)), _text(against(rows, cell, f"{BASE}/{most}"), "+")]
            lines.append(f"| {way} | {n} | {' | '.join(cells)} |")
    if len(steps) > 1:
        lines += ["", *_change(rows, shown, steps, most)]
    return "\n".join(lines) + "\n"


def _change(rows: list[Row], shown: list[str], steps: tuple[int, ...], most: int) -> list[str]:
    lines = [
        f"## Table 7: change of the average against {most} steps of the same way",
        "",
        "| way | steps | difference | relative |",
        "|---|---|---|---|",
    ]
    for way in (w for w in shown if most in WAYS[w].steps):
        whole = average(values(rows, f"{way}/{most}"))[0]
        for n in (n for n in WAYS[way].steps if n in steps and n != most):
            change = against(rows, f"{way}/{n}", f"{way}/{most}")
            relative = f"{100 * change[0] / whole:+.1f}%" if whole else "undefined"
            lines.append(f"| {way} | {n} | {_text(change, '+')} | {relative} |")
    return lines


def _text(value: Interval, sign: str = "") -> str:
    return f"{value[0]:{sign}.3f} ± {value[1]:.3f}"
