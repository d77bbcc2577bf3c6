"""Does it learn? The loss on held-out clips with and without an anchor, and sampled videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..anchor import AnchorPlan, sample_euler
from ..guidance import classifier_free
from .algorithm import Draw, losses
from .order import mix
from .trainer import Dataset, Trainer, stack_text

TIMES = (0.2, 0.5, 0.8)  # places in the trained range of sigma


@dataclass(frozen=True)
class HeldOutLoss:
    """Over the frames after the first, on the same clips, times and noise: with frame 0 given,
    and without. A LoRA that understands anchors makes the first one the smaller."""

    anchored: float
    unanchored: float


@dataclass(frozen=True)
class Scene:
    """What validation videos are sampled from: anchors [B, C, F, h, w], normalised, and text
    features [B, L, D]."""

    plan: AnchorPlan
    positive: Tensor
    negative: Tensor


def held_out_scene(data: Dataset, held_out: tuple[int, ...]) -> Scene:
    """The first held-out clip (the first of all where none is): its caption, and its first frame
    as the anchor."""
    clip = next(iter(held_out), 0)
    z0 = data.latents(clip)[None].float()
    plan = AnchorPlan.empty(*z0.shape).with_anchor(0, z0[:, :, :1])
    return Scene(plan, data.text(clip)[None], data.empty_text[None])


@torch.no_grad()
def held_out_loss(trainer: Trainer) -> HeldOutLoss | None:
    """None where no clips are held out."""
    clips = trainer.held_out
    sums = {0.0: 0.0, 1.0: 0.0}  # by the mask of frame 0: given or made
    with trainer.averaged():
        for clip in clips:
            trainer.tick()
            for mask_of_first in sums:
                sums[mask_of_first] += _clip_loss(trainer, clip, mask_of_first)
    return HeldOutLoss(*(s / len(clips) for s in sums.values())) if clips else None


def _clip_loss(trainer: Trainer, clip: int, mask_of_first: float) -> float:
    z0 = trainer.data.latents(clip)[None].float().expand(len(TIMES), -1, -1, -1, -1)
    low, high = trainer.sigmas
    t = low + torch.tensor(TIMES) * (high - low)
    seed = mix("held out", trainer.data.ids[clip])
    eps = torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(len(TIMES), 1, *z0.shape[2:])
    mask[:, :, 0] = 0
    weight = mask.to(trainer.device)
    draw = Draw(t, eps, AnchorPlan(z0, mask.clamp(min=mask_of_first))).to(trainer.device)
    text = stack_text([trainer.data.text(clip)] * len(TIMES)).to(trainer.device)
    with trainer.arithmetic():
        denoise = lambda x, sigma: trainer.backbone.denoise(x, sigma, text)
        return losses(denoise, draw, weight).mean().item()


@torch.no_grad()
def sample(trainer: Trainer, scene: Scene, noise: Tensor, sigmas: Tensor, cfg: float) -> Tensor:
    """Videos by the LoRA as it stands: anchored Euler sampling from noise [B, C, F, h, w] along
    sigmas [N + 1], with guidance. On the CPU."""
    device = trainer.device
    texts = stack_text([*scene.positive, *scene.negative]).to(device)
    plan = scene.plan.to(noise.to(device))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        trainer.tick()
        with trainer.arithmetic():
            v = trainer.backbone.denoise(x.repeat(2, 1, 1, 1, 1), sigma.repeat(2, 1), texts)
        return classifier_free(*v.float().chunk(2), cfg)

    with trainer.averaged():
        for state in sample_euler(denoise, noise.to(device), sigmas.to(device), plan):
            x = state.x
    return x.cpu()
