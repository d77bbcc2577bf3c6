"""Classifier-free guidance and where along the schedule it acts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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

    @classmethod
    def along(cls, sigmas: Tensor, start: float, end: float) -> GuidanceInterval:
        """The interval between two fractions (0 to 1) of a falling schedule [N + 1]; all of it for
        an empty one, which has no step to guide."""
        if not len(sigmas):
            return cls()

        def at(fraction: float) -> float:
            position = fraction * (len(sigmas) - 1)
            i = min(int(position), len(sigmas) - 2)
            return torch.lerp(sigmas[i], sigmas[i + 1], position - i).item()

        return cls(at(start), at(end))

    def scale(self, sigma: float, cfg: float) -> float:
        return cfg if self.low <= sigma <= self.high else 1.0
