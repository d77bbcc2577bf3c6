"""Classifier-free guidance and where along the schedule it acts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .errors import FVGError


def classifier_free(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """negative + scale (positive - negative) (Ho and Salimans 2022, arXiv 2207.12598)."""
    return negative + scale * (positive - negative)


@dataclass(frozen=True)
class GuidanceInterval:
    """Guide only while low <= sigma <= high (Kynkaanniemi et al. 2024, arXiv 2404.07724).

    Outside, the scale is 1 and the negative branch need not be computed.
    """

    high: float = 1.0
    low: float = 0.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise FVGError(
                f"guidance ends before it starts (sigma {self.high} to {self.low}); "
                "set guidance_start below guidance_end."
            )

    def scale(self, sigma: float, cfg: float) -> float:
        return cfg if self.low <= sigma <= self.high else 1.0
