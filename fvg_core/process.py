"""How a family noises a clip and what it predicts: all that tells flow matching from v-prediction.

Time t runs from 0 (clean) to 1 (noise) in both. x_t = a z0 + s eps; what the network predicts is
called v in both.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from . import flow
from .flow import per_frame
from .schedules import linear_sigmas

TIMESTEPS = 1000  # of both: flow models are told 1000 sigma


class Process(Protocol):
    """Latents [B, C, F, H, W]; t [B] or [B, F]."""

    def add_noise(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor: ...

    def target(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the network learns to predict."""
        ...

    def x0(self, x: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """The clean latent that a prediction at x points to."""
        ...

    def step(self, x: Tensor, x0: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """x at time t -> at time `to`, towards x0, without new noise. Both times are scalars."""
        ...

    def schedule(self, steps: int, shift: float) -> Tensor:
        """The authors' times [steps + 1], falling from 1 to 0."""
        ...


class Flow:
    """Wan: x_t = (1 - t) z0 + t eps, v = eps - z0 (fvg_core/flow.py)."""

    def add_noise(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        return flow.add_noise(z0, eps, t)

    def target(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        return flow.velocity(z0, eps)

    def x0(self, x: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return flow.x0_from_velocity(x, v, t)

    def step(self, x: Tensor, x0: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """Euler: z_{i-1} = z_i - dt v."""
        return x + (to - t) * flow.velocity_from_x0(x, x0, t.expand(x.shape[0]))

    def schedule(self, steps: int, shift: float) -> Tensor:
        return linear_sigmas(steps, shift)


class VPrediction:
    """CogVideoX: x_t = sqrt(abar) z0 + sqrt(1 - abar) eps, v = sqrt(abar) eps - sqrt(1 - abar) z0
    (Salimans and Ho 2022, arXiv 2202.00512), over 1000 timesteps with zero terminal SNR.

    Time t is timestep floor(1000 t), so that a uniform t is a uniform timestep. At t = 0 abar is 1:
    a clean frame is the latent itself, neither scaled nor noised, and the network is told timestep
    0. There abar is .99915 in the model's own training (a scale of .9996 and noise of .029); the
    anchor LoRA learns that small step, and training and sampling take it alike.
    """

    def add_noise(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        a, s = self.levels(t)
        return per_frame(a, z0.ndim) * z0 + per_frame(s, z0.ndim) * eps

    def target(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        a, s = self.levels(t)
        return per_frame(a, z0.ndim) * eps - per_frame(s, z0.ndim) * z0

    def x0(self, x: Tensor, v: Tensor, t: Tensor) -> Tensor:
        a, s = self.levels(t)
        return per_frame(a, x.ndim) * x - per_frame(s, x.ndim) * v

    def step(self, x: Tensor, x0: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """DDIM without noise (Song et al. 2021, arXiv 2010.02502, Eq. 12)."""
        (a, s), (a_to, s_to) = self.levels(t), self.levels(to)
        return a_to * x0 + s_to * (x - a * x0) / s

    def schedule(self, steps: int, shift: float) -> Tensor:
        """Evenly spaced timesteps that begin at the last ("trailing"); there is no shift."""
        timesteps = (TIMESTEPS - torch.arange(steps) * TIMESTEPS / steps).round() - 1
        return self.times(torch.cat([timesteps, torch.tensor([-1.0])]))

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, s), each like t. Looked up in float64, which not every device has."""
        abar = alpha_bar()[self.timestep(t).long().cpu()]
        abar = torch.where(t.cpu() == 0, 1.0, abar)
        return abar.sqrt().to(t), (1 - abar).sqrt().to(t)

    def timestep(self, t: Tensor) -> Tensor:
        """What the network is told: a whole number from 0 to 999, as a float."""
        return (t * TIMESTEPS).floor().clamp(0, TIMESTEPS - 1)

    def times(self, timesteps: Tensor) -> Tensor:
        """The inverse: the middle of each timestep's share, and 0 for -1, which is clean."""
        return ((timesteps + 0.5) / TIMESTEPS).clamp(min=0)


@lru_cache(maxsize=1)
def alpha_bar() -> Tensor:
    """[1000], from .99915 to nearly 0, in float64.

    Betas evenly spaced in their roots from .00085 to .012 (diffusers' "scaled_linear", CogVideoX
    1.5's scheduler), rescaled to zero terminal SNR (Lin et al. 2023, arXiv 2305.08891, Alg. 1).
    The last is 4.9e-8 as in ComfyUI, whose solvers need a finite sigma; the authors' is 0.
    """
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    root = (1 - beta).cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return torch.cat([root[:-1] ** 2, root.new_tensor([4.8973451890853435e-08])])


FLOW, V_PREDICTION = Flow(), VPrediction()
