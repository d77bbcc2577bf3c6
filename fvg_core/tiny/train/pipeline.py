"""All stages in order. Each resumes where it stopped; later ones start from the earlier results."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from ...categories import CATEGORIES
from ...errors import WeightsError
from .. import captions, export, labels
from ..scorer import score
from . import data, dit, evaluate, text, umt5, vae
from .data import preview_colors
from .umt5 import MIN_LENGTH, TextEncoder

EDITION = "2"  # in the metadata of every file, so that no other world is measured by mistake
STAGES = ("vae", "text", "data", "video", "image")


@dataclass(frozen=True)
class Pipeline:
    """Checkpoints and caches live in `work`. seconds: for each stage of this run; shards: of
    clips and of stills to train on; steps, batch: of the transformers, in place of their own."""

    work: Path
    device: torch.device
    seconds: float = math.inf
    shards: int = 20
    steps: int | None = None
    batch: int | None = None

    def train(self, stage: str) -> None:
        """Run one stage, or go on with it."""
        self.work.mkdir(parents=True, exist_ok=True)
        if stage == "vae":
            vae.train(self._checkpoint("vae"), self.device, self.seconds)
        elif stage == "text":
            text.train(self._checkpoint("text"), self._pieces(), self.device, self.seconds)
        elif stage == "data":
            self._samples("clips")
            self._samples("stills")
        else:
            self._transformer(stage, self.seconds)

    def score(self, count: int, steps: int) -> dict[str, float]:
        """Held-out scores of the video model as far as it has come."""
        video = self._transformer("video", 0.0)
        return evaluate.scores(video, self._text, self._vae, count, steps)

    def sheets(self, folder: Path, count: int, steps: int) -> list[Path]:
        """Clips of `count` held-out prompts for a person to label; what was written."""
        scenes = evaluate.held_out(-(-count // len(CATEGORIES)))
        random.Random(0).shuffle(scenes)
        scenes = scenes[:count]
        video = self._transformer("video", 0.0)
        clips = list(evaluate.clips(video, self._text, self._vae, scenes, steps))
        found = [score(clip, s.prompt) for clip, s in zip(clips, scenes, strict=True)]
        prompts = [captions.text(captions.prompt_spans(s.prompt)) for s in scenes]
        return labels.draw(folder, prompts, clips, found)

    def save(self, weights: Path) -> None:
        """Write the files that ComfyUI loads."""
        encoder, trained = self._text, self._vae
        self._write(weights, "vae", export.vae_to_host(trained.state_dict()), {})
        config = export.text_config(umt5.CONFIG, MIN_LENGTH)
        pieces = encoder.pieces.serialized_model_proto()
        tensors = export.text_to_host(encoder.model, pieces)
        self._write(weights, "text_encoder", tensors, {}, config=config)
        colors = preview_colors(trained.cpu(), self._samples("stills").z)
        for kind in ("video", "image"):
            state = export.transformer_to_host(self._transformer(kind, 0.0).state_dict())
            recipe = asdict(dit.RECIPES[kind])
            host = {"transformer": export.wan_config(recipe.pop("config"))}
            recipe.pop("caption")
            self._write(weights, kind, state, recipe, config=host, preview_colors=colors)

    def _checkpoint(self, stage: str) -> Path:
        return self.work / f"{stage}.pt"

    def _pieces(self) -> bytes:
        path = self.work / "vocabulary.model"
        if not path.exists():
            path.write_bytes(text.train_vocabulary())
        return path.read_bytes()

    @cached_property
    def _text(self) -> TextEncoder:
        return self._finished("text", self._pieces())

    @cached_property
    def _vae(self) -> nn.Module:
        return self._finished("vae")

    def _finished(self, stage: str, *inputs: bytes):
        train = {"vae": vae.train, "text": text.train}[stage]
        if result := train(self._checkpoint(stage), *inputs, self.device, 0.0):
            return result
        raise WeightsError(
            f"the stage {stage} is not finished in {self.work}. "
            f"Run it first: python -m fvg_core.tiny train --stage {stage}."
        )

    def _samples(self, kind: str) -> data.Drawn:
        return data.samples(kind, self._vae, self.work, self.shards, self.device)

    def _transformer(self, kind: str, seconds: float) -> nn.Module:
        samples = lambda: self._samples("clips" if kind == "video" else "stills")
        return dit.train(
            kind, samples, self._text, self._checkpoint(kind), self.device,
            seconds=seconds, steps=self.steps, batch=self.batch,
        )  # fmt: skip

    def _write(self, weights: Path, name: str, tensors: dict, recipe: dict, **more: object) -> None:
        path = weights / f"fvg_tiny_{name}.safetensors"
        export.save(path, tensors, {"format": "pt", "edition": EDITION, "recipe": recipe, **more})
