"""Sigma schedules of flow-matching models: N steps from noise (1) to clean (0), shifted."""

from __future__ import annotations

import torch
from torch import Tensor


def shift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """s / (1 + (s - 1) sigma) * sigma: a shift above 1 spends more steps near noise.

    From Esser et al. 2024 (arXiv 2403.03206), Eq. 23; Wan uses 3 to 12.
    """
    return shift * sigma / (1 + (shift - 1) * sigma)


def unshift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """The inverse of shift_sigma."""
    return shift_sigma(sigma, 1 / shift)


def linear_sigmas(steps: int, shift: float) -> Tensor:
    """Evenly spaced times, shifted. Returns [steps + 1], falling from 1 to 0 (Eq. 4)."""
    return shift_sigma(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift).float()


def is_high_noise(sigma: float, boundary: float) -> bool:
    """Whether the high-noise expert of a pair works at this sigma.

    Wan 2.2 T2V A14B: while t >= 875, boundary 0.875 (Wan-Video/Wan2.2 wan/text2video.py). A sigma
    that a float32 schedule rounds to just below the boundary still counts.
    """
    return sigma >= boundary - 1e-6
