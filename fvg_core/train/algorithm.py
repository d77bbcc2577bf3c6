"""Algorithm 1: what is drawn for a sample, and its loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..anchor import AnchorPlan, Denoiser, frame_sigmas, hybrid
from ..process import FLOW, Process
from ..schedules import shift_sigma, unshift_sigma
from .config import Algorithm


@dataclass(frozen=True)
class Draw:
    """What is drawn for a batch: t [B], eps like the latents, and which frames are anchors.

    The plan's clean latents are the clips' own, z_a = z0[k] (Alg. 1, l. 2): all of z0.
    """

    t: Tensor
    eps: Tensor
    plan: AnchorPlan

    @classmethod
    def stack(cls, draws: list[Draw]) -> Draw:
        """Draws of one sample each, as a batch."""
        join = lambda tensors: torch.cat(list(tensors))
        plan = AnchorPlan(join(d.plan.clean for d in draws), join(d.plan.mask for d in draws))
        return cls(join(d.t for d in draws), join(d.eps for d in draws), plan)

    def to(self, device: torch.device) -> Draw:
        plan = AnchorPlan(self.plan.clean.to(device), self.plan.mask.to(device))
        return Draw(self.t.to(device), self.eps.to(device), plan)


def sigma_range(expert: str, boundary: float | None) -> tuple[float, float]:
    """The sigmas that a model is trained on: all of them, or one expert's side of the boundary."""
    low = boundary if expert == "high" else 0.0
    high = boundary if expert == "low" else 1.0
    return low, high


def draw_time(u: Tensor, config: Algorithm, low: float = 0.0, high: float = 1.0) -> Tensor:
    """u ~ Uniform(0, 1) -> t in [low, high] with the configured density (Alg. 1, l. 3).

    By the inverse of its distribution function, so that a range only cuts the density.
    """
    if config.time_density == "shifted":
        forth = lambda p: shift_sigma(p, config.time_shift)
        back = lambda t: unshift_sigma(t, config.time_shift)
    elif config.time_density == "logit_normal":  # Esser et al. 2024 (arXiv 2403.03206), m 0, s 1
        forth = lambda p: torch.sigmoid(torch.special.ndtri(p))
        back = lambda t: torch.special.ndtr(torch.logit(t))
    else:
        forth = back = lambda p: p
    ends = back(torch.tensor([low, high], dtype=torch.float64))
    return forth(ends[0] + u.double() * (ends[1] - ends[0])).float()


def draw_anchors(frames: int, config: Algorithm, generator: torch.Generator) -> list[int]:
    """The latent frames that are given, or tokens of several frames: none in `unanchored_share`
    of the draws, else k (Alg. 1, l. 1-2), with further ones beside it if several are asked for."""
    u = torch.rand(3, generator=generator).tolist()
    order = torch.randperm(frames, generator=generator).tolist()
    if u[0] < config.unanchored_share:
        return []
    if u[1] < config.first_frame_share:
        order.remove(0)
        order.insert(0, 0)
    most = min(config.max_anchors, frames - 1)  # one frame at least is left to make
    return sorted(order[: 1 + int(u[2] * most)])


def draw(
    z0: Tensor,
    config: Algorithm,
    generator: torch.Generator,
    low: float = 0.0,
    high: float = 1.0,
    patch_time: int = 1,
) -> Draw:
    """The randomness of one sample, z0 [1, C, F, H, W] of whole tokens; sigma in [low, high]."""
    t = draw_time(torch.rand(1, generator=generator), config, low, high)
    mask = torch.ones(1, 1, *z0.shape[2:])
    for k in draw_anchors(z0.shape[2] // patch_time, config, generator):
        mask[:, :, k * patch_time : (k + 1) * patch_time] = 0
    return Draw(t, torch.randn(z0.shape, generator=generator), AnchorPlan(z0, mask))


def counted(draw: Draw, anchor_loss: str) -> Tensor:
    """What counts in a sample's loss, as weights [B, 1, F, H, W]."""
    return draw.plan.mask if anchor_loss == "masked" else torch.ones_like(draw.plan.mask)


def losses(denoise: Denoiser, draw: Draw, weight: Tensor, process: Process = FLOW) -> Tensor:
    """Weighted mean squared velocity error of each sample [B] (Alg. 1, l. 6-15)."""
    z0 = draw.plan.clean
    x = hybrid(draw.plan, process.add_noise(z0, draw.eps, draw.t))  # l. 8 and 11
    v = denoise(x, frame_sigmas(draw.plan, draw.t)).float()  # t_vec: l. 9 and 12
    error = (v - process.target(z0, draw.eps, draw.t)).square()
    return (error * weight).sum((1, 2, 3, 4)) / (weight.sum((1, 2, 3, 4)) * z0.shape[1])
