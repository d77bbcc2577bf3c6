"""What the paper promises, and whether these scores show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.paper.tables import UNSEEN, UPSAMPLING, Interval, Row, against, difference, shown
from benchmarks.paper.ways import ALL_STEPS, CONTROL, FEW, FVG, T2V, UPSAMPLED, Cell, key

MANY = max(ALL_STEPS)


@dataclass(frozen=True)
class Goal:
    """`mine` has at least 1 + `change` times the average of `base`, or with `at_most` at most."""

    says: str
    mine: Cell
    base: Cell
    change: float
    at_most: bool = False


GOALS = (
    Goal(f"FVG in {FEW} steps is 42% or more over T2V", (FVG, FEW), (T2V, MANY), 0.42),
    Goal(f"FVG in {FEW} steps is over the upsampled prompt", (FVG, FEW), (UPSAMPLED, MANY), 0.0),
    Goal(
        f"FVG in {FEW} steps is over T2V with the LoRA and without an anchor",
        (FVG, FEW),
        (CONTROL, MANY),
        0.0,
    ),
    Goal(f"FVG in {FEW} steps loses 2% at most", (FVG, FEW), (FVG, MANY), -0.02),
    Goal(f"T2V in {FEW} steps loses 10% or more", (T2V, FEW), (T2V, MANY), -0.1, at_most=True),
)


def margin(rows: list[Row], goal: Goal) -> Interval:
    """Paired difference from (1 + change) x base; positive where the goal holds."""
    mean, half = against(rows, key(goal.mine), key(goal.base), 1 + goal.change)
    return (-mean if goal.at_most else mean), half


def verdict(found: Interval) -> str:
    """Whether a margin says that its goal holds."""
    mean, half = found
    if np.isnan(half):
        return "cannot be said: too few prompts"
    if abs(mean) <= half:
        return "cannot be said: the interval crosses"
    return "yes" if mean > 0 else "no"


def markdown(rows: list[Row]) -> str:
    """The table of all goals."""
    lines = [
        "## The goals",
        "",
        f"Averages over the categories, with generated anchors; against {MANY} steps. "
        "*Difference*: paired over prompts. *Beyond the goal*: the same from the value that the "
        "goal asks for, positive where it holds; it decides. What none of n videos showed may "
        f"still happen in {UNSEEN}/n of them (the rule of three): no interval of a difference is "
        f"narrower than that. {UPSAMPLING}",
        "",
        "| goal | difference | relative | beyond the goal | holds |",
        "|---|---|---|---|---|",
    ]
    for goal in GOALS:
        cells = [key(goal.mine), key(goal.base)]
        if all(cell in row["scores"] for row in rows for cell in cells):
            found = margin(rows, goal)
            parts = [*difference(rows, *cells), shown(found, "+"), verdict(found)]
        else:
            parts = ["", "", "", "cannot be said: not made"]
        lines.append(f"| {goal.says} | {' | '.join(parts)} |")
    return "\n".join([*lines, ""])
