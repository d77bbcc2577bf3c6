"""Figures from repeated measurements: medians with their spread, ratios of neighbours in time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 8  # values for quartiles: those of three leave out the least and the greatest
BRACKETS = (
    f"in brackets the quartiles, of fewer than {ENOUGH} values the least and the greatest, and the "
    "number of values"
)


@dataclass(frozen=True)
class Figure:
    """A median, its spread as `BRACKETS` says, and the number of values."""

    median: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 3) -> str:
        spread = f"{self.low:.{digits}f} to {self.high:.{digits}f}"
        return f"{self.median:.{digits}f} ({spread}, n={self.count})"


def summarise(values: Sequence[float]) -> Figure:
    """The figure of `values`; at least one."""
    if not values:
        raise ValueError("there is nothing to summarise.")
    if len(values) < ENOUGH:
        return Figure(statistics.median(values), min(values), max(values), len(values))
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(middle, low, high, len(values))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Numerator over denominator, pair by pair: a slow minute of the machine touches both."""
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} values cannot be paired with {len(denominators)}.")
    return summarise([a / b for a, b in zip(numerators, denominators, strict=True)])


def added(
    parts: Sequence[float], reference_parts: Sequence[float], wholes: Sequence[float]
) -> Figure:
    """1 + (part - reference part) / whole, pair by pair: what a part alone makes of the whole."""
    if not len(parts) == len(reference_parts) == len(wholes):
        raise ValueError("parts, reference parts and wholes must be as many.")
    return summarise(
        [1 + (a - b) / c for a, b, c in zip(parts, reference_parts, wholes, strict=True)]
    )
