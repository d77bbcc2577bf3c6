"""Anchors: latent frames that are given, and the rule that keeps them (paper, section 4.2).

An anchored clip is a pair of tensors. `clean` [B, C, F, H, W] holds the anchors' latents; `mask`
[B, 1, F, H, W] says how much of each position the model makes: 1 everything, 0 nothing (an
anchor). Values between follow Pusa's timestep multiplier: the frame's sigma is mask * sigma, which
softens an anchor. All functions are the identity where the mask is 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import AnchorError
from .pairs import together
from .process import FLOW, Process

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (x [B, C, F, H, W], sigma [B, F]) -> velocity


@dataclass(frozen=True)
class AnchorPlan:
    """Which latent frames of a clip are given, and what they hold."""

    clean: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        want = (self.clean.shape[0], 1, *self.clean.shape[2:])
        if self.clean.ndim != 5 or self.mask.shape != want:
            raise AnchorError(
                f"an anchor plan needs clean [B, C, F, H, W] and mask [B, 1, F, H, W]; "
                f"got {list(self.clean.shape)} and {list(self.mask.shape)}."
            )

    @classmethod
    def empty(cls, batch: int, channels: int, frames: int, height: int, width: int) -> AnchorPlan:
        """A clip without anchors, in latent units."""
        return cls(
            torch.zeros(batch, channels, frames, height, width),
            torch.ones(batch, 1, frames, height, width),
        )

    def with_anchor(
        self, frame: int, latent: Tensor, noise: float = 0.0, patch_time: int = 1
    ) -> AnchorPlan:
        """A new plan with `latent` [1 or B, C, 1, H, W] at latent frame `frame`, and at those that
        share its token; then there may also be one latent for each of them.

        noise: share of the step's sigma that the anchor keeps, 0 (clean, the paper) to 1.
        """
        b, c, f, h, w = self.clean.shape
        if not -f <= frame < f:
            raise AnchorError(f"latent frame {frame} lies outside a clip of {f} latent frames.")
        frames = [*together(frame, f, patch_time)]
        fits = {(n, c, k, h, w) for n in (1, b) for k in (1, len(frames))}
        if tuple(latent.shape) not in fits:
            raise AnchorError(
                f"the anchor latent is {list(latent.shape)}; this clip needs "
                f"[{1 if b == 1 else f'1 or {b}'}, {c}, 1, {h}, {w}]. Encode the picture with the "
                "VAE of the video model, at the video's size; give one, or one for each video."
            )
        if not 0 <= noise < 1:
            raise AnchorError(f"anchor_noise is {noise}; it must be at least 0 and below 1.")
        clean, mask = self.clean.clone(), self.mask.clone()
        clean[:, :, frames] = latent.to(clean)
        mask[:, :, frames] = noise
        return AnchorPlan(clean, mask)

    def tile(self, n: int) -> AnchorPlan:
        """The batch repeated n times, whole batch after whole batch, as guidance stacks it."""
        return AnchorPlan(self.clean.repeat(n, 1, 1, 1, 1), self.mask.repeat(n, 1, 1, 1, 1))

    def without(self, rows: Tensor) -> AnchorPlan:
        """The plan with no anchors in some rows of the batch: rows [B], true for those."""
        return AnchorPlan(self.clean, self.mask.masked_fill(rows.view(-1, 1, 1, 1, 1), 1))

    def held(self, rows: Tensor) -> AnchorPlan:
        """The plan for `hold_x0` where some rows were shown the plan `without` its anchors: there
        the prediction of a softened one is whole, and only clean ones are left to hold."""
        whole = rows.view(-1, 1, 1, 1, 1) & (self.mask > 0)
        return AnchorPlan(self.clean, self.mask.masked_fill(whole, 1))

    def to(self, like: Tensor) -> AnchorPlan:
        return AnchorPlan(self.clean.to(like), self.mask.to(like))


def frame_sigmas(plan: AnchorPlan, sigma: Tensor) -> Tensor:
    """Sigma [B] -> [B, F]: 0 at anchors, sigma elsewhere (t_vec of Alg. 1, l. 9 and 12)."""
    return plan.mask.mean((1, 3, 4)) * sigma[:, None]


def hybrid(plan: AnchorPlan, x: Tensor) -> Tensor:
    """The model's input: the anchors, and x elsewhere (Alg. 1, l. 8). Exact at mask 0 and 1."""
    return torch.lerp(plan.clean, x, plan.mask)


def hold_x0(plan: AnchorPlan, given: Tensor, x0: Tensor) -> Tensor:
    """The prediction of the clean latent for the hybrid input `given`: at an anchor, the anchor.

    x0 is given - sigma v; the frame's own sigma is mask * sigma, hence given - mask * sigma * v.
    Every solver moves x towards its prediction, so one that is told the anchor ends there.
    """
    return torch.lerp(given, x0, plan.mask)


def check_softness(mask: Tensor, process: Process) -> None:
    """Raise AnchorError for softened anchors where only clean ones are defined: `hold_x0` mixes
    clip and noise as flow matching does."""
    if process is not FLOW and ((mask > 0) & (mask < 1)).any():
        raise AnchorError(
            "an anchor of this video model is clean or it is none, and the mask has values between "
            "0 and 1. Set anchor_noise to 0 in the Anchor Latent Injector; do not blur the mask."
        )


def pin(plan: AnchorPlan, x: Tensor) -> Tensor:
    """The final latent with its clean anchors bit for bit. A softened anchor stays as sampled."""
    return torch.where(plan.mask == 0, plan.clean, x)


def hand_over(plan: AnchorPlan, x: Tensor) -> Tensor:
    """A half-sampled latent for a run that goes on from it: every anchor clean again, softened ones
    too. That run knows nothing else of the anchors and would take what is left of the noise in
    them for part of the picture."""
    return torch.where(plan.mask < 1, plan.clean, x)


def anchored_x0(
    denoise: Denoiser, plan: AnchorPlan, x: Tensor, sigma: Tensor, process: Process = FLOW
) -> Tensor:
    """The clean latent that a model predicts from x at the step's sigma [B], anchors held.

    `denoise` gets the hybrid latent and the sigma of every frame (section 4.2).
    """
    given = hybrid(plan, x)
    v = denoise(given, frame_sigmas(plan, sigma))
    return hold_x0(plan, given, process.x0(given, v, sigma))


@dataclass(frozen=True)
class VideoState:
    """One moment of sampling: latents x [B, C, F, H, W] at sigma, `step` steps done."""

    x: Tensor
    sigma: float
    step: int


def sample_euler(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, plan: AnchorPlan, process: Process = FLOW
) -> Iterator[VideoState]:
    """Anchored Euler sampling (Eq. 4), one state per step; the last one is pinned.

    x: noise [B, C, F, H, W]; sigmas [N + 1], falling to 0, or the times of another process, whose
    own step of the first order is taken.
    """
    state = VideoState(x, float(sigmas[0]), 0)
    for sigma, following in itertools.pairwise(sigmas):
        x0 = anchored_x0(denoise, plan, state.x, sigma.expand(x.shape[0]), process)
        x = process.step(state.x, x0, sigma, following)
        state = replace(state, x=x, sigma=float(following), step=state.step + 1)
        if state.step == len(sigmas) - 1:
            state = replace(state, x=pin(plan, x))
        yield state
