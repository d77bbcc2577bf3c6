"""Does it learn? The loss on held-out clips with and without an anchor, and sampled videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..anchor import AnchorPlan, sample_euler
from ..guidance import classifier_free
from ..pairs import missing_in_front, together, with_front
from .algorithm import Draw, losses
from .order import mix
from .trainer import Dataset, Trainer, stack_text

TIMES = (0.2, 0.5, 0.8)  # places in the trained range of sigma


@dataclass(frozen=True)
class HeldOutLoss:
    """Over the frames after the first token, on the same clips, times and noise: with it given,
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


def held_out_scene(data: Dataset, held_out: tuple[int, ...], patch_time: int = 1) -> Scene:
    """The first held-out clip (the first of all where none is): its caption, and its first frame
    as the anchor."""
    clip = next(iter(held_out), 0)
    z0 = data.latents(clip)[None].float()
    first = z0[:, :, [*together(0, z0.shape[2], patch_time)]]
    plan = AnchorPlan.empty(*z0.shape).with_anchor(0, first, patch_time=patch_time)
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
    spec = trainer.backbone.spec
    z0 = with_front(trainer.data.latents(clip)[None].float(), spec.patch_time)
    z0 = z0.expand(len(TIMES), -1, -1, -1, -1)
    low, high = trainer.sigmas
    t = low + torch.tensor(TIMES) * (high - low)
    seed = mix("held out", trainer.data.ids[clip])
    eps = torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(len(TIMES), 1, *z0.shape[2:])
    mask[:, :, : spec.patch_time] = 0
    weight = mask.to(trainer.device)
    draw = Draw(t, eps, AnchorPlan(z0, mask.clamp(min=mask_of_first))).to(trainer.device)
    text = stack_text([trainer.data.text(clip)] * len(TIMES)).to(trainer.device)
    with trainer.arithmetic():
        denoise = lambda x, sigma: trainer.backbone.denoise(x, sigma, text)
        return losses(denoise, draw, weight, spec.process).mean().item()


@torch.no_grad()
def sample(trainer: Trainer, scene: Scene, noise: Tensor, sigmas: Tensor, cfg: float) -> Tensor:
    """Videos by the LoRA as it stands: anchored Euler sampling along times `sigmas` [N + 1], with
    guidance. noise: like the scene, with the frames in front that the model needs. On the CPU."""
    device, spec = trainer.device, trainer.backbone.spec
    texts = stack_text([*scene.positive, *scene.negative]).to(device)
    whole = [with_front(t, spec.patch_time) for t in (scene.plan.clean, scene.plan.mask)]
    plan = AnchorPlan(*whole).to(noise.to(device))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        trainer.tick()
        with trainer.arithmetic():
            v = trainer.backbone.denoise(x.repeat(2, 1, 1, 1, 1), sigma.repeat(2, 1), texts)
        return classifier_free(*v.float().chunk(2), cfg)

    with trainer.averaged():
        for state in sample_euler(denoise, noise.to(device), sigmas.to(device), plan, spec.process):
            x = state.x
    return x[:, :, missing_in_front(scene.plan.clean.shape[2], spec.patch_time) :].cpu()
