"""Flow matching: the forward process, its velocity, and the two ways between them.

Sigma runs from 0 (clean) to 1 (noise), as in Wan and in Algorithm 1; the tau of the paper's Eq. 1
is 1 - sigma. `eps` is the noise, `z0` the clean latent, `v` the velocity eps - z0.
"""

from __future__ import annotations

import torch
from torch import Tensor


def per_frame(sigma: Tensor, ndim: int = 5) -> Tensor:
    """Sigma [B] or [B, F] -> a view [B, 1, F or 1, 1, 1] that broadcasts over latents."""
    shape = (sigma.shape[0], 1, sigma.shape[1] if sigma.ndim == 2 else 1)
    return sigma.reshape(*shape, *(1,) * (ndim - 3))


def add_noise(z0: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
    """z_t = (1 - t) z0 + t eps (Alg. 1, l. 11). Latents [B, C, F, H, W], sigma [B] or [B, F]."""
    s = per_frame(sigma, z0.ndim)
    return (1 - s) * z0 + s * eps


def velocity(z0: Tensor, eps: Tensor) -> Tensor:
    """The training target. Alg. 1, l. 15 prints eps; Eq. 1 and the models use eps - z0."""
    return eps - z0


def x0_from_velocity(x: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """The clean latent that a velocity at x points to: x - sigma v."""
    return x - per_frame(sigma, x.ndim) * v


def velocity_from_x0(x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
    """The velocity that leads from x to x0; sigma must be above 0."""
    return (x - x0) / per_frame(sigma, x.ndim)


def uniform_time(batch: int, generator: torch.Generator | None = None) -> Tensor:
    """t ~ Uniform(0, 1) (Alg. 1, l. 3). Returns [B]."""
    return torch.rand(batch, generator=generator)
