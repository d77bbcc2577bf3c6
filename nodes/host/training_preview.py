"""Videos that are sampled while a LoRA is trained, to see what it has learned so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import comfy.sample
import torch
from safetensors.torch import save_file
from torch import Tensor

from ...fvg_core.anchor import AnchorPlan
from ...fvg_core.errors import TrainingError
from ...fvg_core.pairs import noise_with_front, together
from ...fvg_core.train.config import TrainConfig
from ...fvg_core.train.order import held_out
from ...fvg_core.train.trainer import Dataset, Trainer
from ...fvg_core.train.validation import Scene, held_out_scene, sample
from ...fvg_core.train.webp import save_webp
from .models import spec_of
from .pictures import encode_anchor, fit
from .sampling import times
from .training import HostWan

_SCHEDULER = "simple"  # the default of our sampler node


@dataclass(frozen=True)
class Preview:
    """What is sampled: with `vae` alone a held-out clip's prompt and first frame, or else the
    CONDITIONING `positive`, from the pictures `anchor` [B, H, W, 3] where they are given."""

    vae: object | None
    positive: list | None
    negative: list | None
    anchor: Tensor | None
    cfg: float
    steps: int
    shift: float

    def __post_init__(self) -> None:
        given = {k: getattr(self, k) is not None for k in ("positive", "negative", "anchor")}
        if self.vae is None and any(given.values()):
            raise TrainingError(
                f"{' and '.join(k for k, v in given.items() if v)} is connected without vae. "
                "Connect the VAE of the video model too to see validation videos."
            )
        if given["anchor"] and not given["positive"]:
            raise TrainingError(
                "anchor is connected without positive. Connect the prompt of that picture too, or "
                "neither: then a held-out clip is shown."
            )


def scene_of(preview: Preview, model, data: Dataset, config: TrainConfig) -> Scene:
    """Encodes the anchors, so it is called while the VAE may still have the memory."""
    negative = data.empty_text if preview.negative is None else _text(preview.negative)
    spec = spec_of(model)
    if preview.positive is None:
        clips = held_out(data.digests, config.keep.validation_clips)
        scene = held_out_scene(data, clips, spec.patch_time)
        return replace(scene, negative=negative[None])
    frames, h, w = max(data.buckets, key=lambda shape: (len(data.buckets[shape]), shape))
    size = w * spec.stride_space, h * spec.stride_space
    anchors = [] if preview.anchor is None else fit(preview.anchor, *size, "crop").split(1)
    plan = AnchorPlan.empty(max(1, len(anchors)), spec.latent_channels, frames, h, w)
    if anchors:
        share = together(0, frames, spec.patch_time)
        z = torch.cat([encode_anchor(preview.vae, picture, share, spec) for picture in anchors])
        z = model.model.process_latent_in(z.cpu().float())
        plan = plan.with_anchor(0, z, patch_time=spec.patch_time)
    texts = [_text(preview.positive)[None], negative[None]]
    return Scene(plan, *(t.expand(len(plan.clean), -1, -1) for t in texts))


def _text(conditioning: list) -> Tensor:
    """The features [L, D] of a CONDITIONING. Raises TrainingError for one of several prompts."""
    if len(conditioning) != 1:
        raise TrainingError(
            f"the validation prompt is a combination of {len(conditioning)} prompts; connect one "
            "CLIP Text Encode."
        )
    return conditioning[0][0][0].cpu().float()


class VideoSampler:
    """Samples a scene by the LoRA as it stands. Called with a folder, as a Run does it."""

    def __init__(
        self, preview: Preview, scene: Scene, model, backbone: HostWan, trainer: Trainer
    ) -> None:
        self._preview, self._scene, self._trainer = preview, scene, trainer
        self._model, self._backbone = model.model, backbone
        # The host's own noise and schedule: the same seed gives the sampler node's video.
        seed, patch = trainer.config.seed, backbone.spec.patch_time
        noise = comfy.sample.prepare_noise(scene.plan.clean, seed)
        self._noise = noise_with_front(noise, patch, seed)
        self._sigmas = times(model, _SCHEDULER, preview.steps, preview.shift)

    def __call__(self, folder: Path) -> list[Path]:
        z = sample(self._trainer, self._scene, self._noise, self._sigmas, self._preview.cfg)
        z = self._model.process_latent_out(z)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for i, latent in enumerate(z.split(1)):
            paths.append(folder / f"video-{i}.webp")
            # For the stock node LoadLatent, whose format this is.
            tensors = {"latent_tensor": latent.contiguous(), "latent_format_version_0": _NOTHING}
            save_file(tensors, paths[-1].with_suffix(".latent"))
            save_webp(self._decode(latent), paths[-1], self._backbone.spec.fps)
        self._backbone.load()  # the VAE may have taken its memory
        return paths

    @torch.no_grad()
    def _decode(self, latent: Tensor) -> Tensor:
        """[1, C, F, h, w] -> [frames, H, W, 3]"""
        images = self._preview.vae.decode(latent)
        return images.reshape(-1, *images.shape[-3:])


_NOTHING = torch.tensor([])
