"""All stages in order. Each resumes where it stopped; later ones start from the earlier results."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...categories import CATEGORIES
from ...errors import WeightsError
from ...files import write_whole
from .. import captions, export, labels
from ..scorer import score
from . import data, dit, evaluate, record, text, umt5, vae
from .data import preview_colors
from .loop import processes
from .umt5 import MIN_LENGTH, TextEncoder

STAGES = ("vae", "text", "data", "video", "image")


@dataclass(frozen=True)
class Pipeline:
    """Checkpoints and caches live in `work`. seconds: for each stage of this run; shards, steps,
    batch: of the transformers, in place of their own."""

    work: Path
    device: torch.device
    seconds: float = math.inf
    shards: int | None = None
    steps: int | None = None
    batch: int | None = None

    def train(self, stage: str) -> None:
        """Run one stage, or go on with it."""
        self.work.mkdir(parents=True, exist_ok=True)
        rank, _ = processes()
        if stage != "data" and not rank:
            record.note(self._record(stage), self._done(stage), self._settings(stage))
        if stage == "vae":
            vae.train(self._checkpoint("vae"), self.device, self.seconds)
        elif stage == "text":
            text.train(self._checkpoint("text"), self._pieces(), self.device, self.seconds)
        elif stage == "data":
            for recipe in dit.RECIPES.values():
                self._samples(recipe.drawn, self.shards or recipe.shards)
        else:
            self._transformer(stage, self.seconds)

    def score(self, of: str, count: int, steps: int) -> dict[str, evaluate.Scores]:
        """What `count` held-out scenes of each category say of a model (`vae`, `image` or
        `video`) as far as it has come."""
        if of == "vae":
            return evaluate.vae_scores(self._vae, count)
        judge = {"image": evaluate.image_scores, "video": evaluate.video_scores}[of]
        return judge(self._trained(of), self._text, self._vae, count, steps)

    def sheets(self, folder: Path, count: int, steps: int) -> list[Path]:
        """Clips of `count` held-out prompts for a person to label; what was written."""
        scenes = evaluate.held_out(-(-count // len(CATEGORIES)))
        random.Random(0).shuffle(scenes)
        scenes = scenes[:count]
        clips = list(evaluate.clips(self._trained("video"), self._text, self._vae, scenes, steps))
        found = [score(clip, s.prompt) for clip, s in zip(clips, scenes, strict=True)]
        prompts = [captions.text(captions.prompt_spans(s.prompt)) for s in scenes]
        return labels.draw(folder, prompts, clips, found)

    def save(self, weights: Path) -> None:
        """Write the files that ComfyUI loads, each with the recipe that was really taken.

        Raises WeightsError where a model has not been trained.
        """
        trained, encoder = self._vae, self._text
        models = {kind: self._trained(kind) for kind in dit.RECIPES}
        recipes = {
            stage: record.taken(self._record(stage), self._done(stage))
            for stage in ("vae", "text", *models)
        }
        write = partial(_write, weights)
        write("vae", export.vae_to_host(trained.state_dict()), recipes["vae"])
        config = export.text_config(umt5.CONFIG, MIN_LENGTH)
        pieces = encoder.pieces.serialized_model_proto()
        tensors = export.text_to_host(encoder.model, pieces)
        write("text_encoder", tensors, recipes["text"], config=config)
        stills = self._samples("stills", 1)
        colors = preview_colors(trained.cpu(), stills.z)
        for kind, model in models.items():
            tensors = export.transformer_to_host(model.state_dict())
            host = {"transformer": export.wan_config(dit.RECIPES[kind].config)}
            write(kind, tensors, recipes[kind], config=host, preview_colors=colors)

    def _checkpoint(self, stage: str) -> Path:
        return self.work / f"{stage}.pt"

    def _record(self, stage: str) -> Path:
        return self.work / f"{stage}.json"

    def _done(self, stage: str) -> int:
        """Steps of a stage so far."""
        path = self._checkpoint(stage)
        return torch.load(path, mmap=True, weights_only=True)["step"] if path.exists() else 0

    def _settings(self, stage: str) -> dict[str, Any]:
        """What a run of a stage trains with."""
        _, world = processes()
        if stage == "vae":
            return {
                "processes": world,
                "curriculum": vae.CURRICULUM,
                "decoder_alone_from": vae.DECODER_ALONE,
                "lr": vae.LR,
                "base_dim": vae.BASE_DIM,
                "kl_weight": vae.KL_WEIGHT,
                "noise": vae.NOISE,
                "object_weight": vae.OBJECT_WEIGHT,
            }
        if stage == "text":
            return {"processes": world, "batch": text.BATCH, "lr": text.LR}
        recipe = dit.RECIPES[stage]
        return {
            "processes": world,
            "batch": self.batch or recipe.batch,
            "lr": recipe.lr,
            "optimizer": "Muon for the blocks' matrices, AdamW for the rest",
            "planned_steps": self.steps or recipe.steps,
            "shards": self.shards or recipe.shards,
            "train_shift": dit.TRAIN_SHIFT,
            "seeing_weight": dit.SEEING_WEIGHT,
            "prompt_dropout": dit.PROMPT_DROPOUT,
        }

    def _pieces(self) -> bytes:
        path = self.work / "vocabulary.model"
        if not path.exists():
            write_whole(path, text.train_vocabulary())
        return path.read_bytes()

    @cached_property
    def _text(self) -> TextEncoder:
        load = lambda path: text.train(path, self._pieces(), self.device, 0.0)
        return self._finished("text", load)

    @cached_property
    def _vae(self) -> nn.Module:
        return self._finished("vae", lambda path: vae.train(path, self.device, 0.0))

    def _finished(self, stage: str, load: Callable[[Path], Any]) -> Any:
        if self._done(stage) and (result := load(self._checkpoint(stage))):
            return result
        raise self._missing(stage, "is not finished")

    def _trained(self, kind: str) -> nn.Module:
        """A transformer as far as it has come."""
        if not self._done(kind):
            raise self._missing(kind, "has not begun")
        return self._transformer(kind, 0.0)

    def _missing(self, stage: str, how: str) -> WeightsError:
        return WeightsError(
            f"the stage {stage} {how} in {self.work}. "
            f"Run it first: python -m fvg_core.tiny train --stage {stage}."
        )

    def _samples(self, kind: str, shards: int) -> data.Drawn:
        return data.samples(kind, self._vae, self.work, shards, self.device)

    def _transformer(self, kind: str, seconds: float) -> nn.Module:
        recipe = dit.RECIPES[kind]
        samples = lambda: self._samples(recipe.drawn, self.shards or recipe.shards)
        return dit.train(
            kind, samples, self._text, self._checkpoint(kind), self.device,
            seconds=seconds, steps=self.steps, batch=self.batch,
        )  # fmt: skip


def _write(weights: Path, name: str, tensors: dict, recipe: dict, **more: object) -> None:
    path = weights / f"fvg_tiny_{name}.safetensors"
    export.save(path, tensors, {"format": "pt", "recipe": recipe, **more})
