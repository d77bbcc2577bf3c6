"""All stages in order. Each resumes where it stopped; later ones start from the earlier results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from .. import export
from . import data, dit, text, umt5, vae

STAGES = ("text", "vae", "data", "video", "image")


class Pipeline:
    """Checkpoints and caches live in `work`, the finished files in `weights`."""

    def __init__(self, work: Path, weights: Path):
        self.work, self.weights = work, weights
        work.mkdir(parents=True, exist_ok=True)

    def run(self, stage: str) -> None:
        stages: dict[str, Callable[[], None]] = {
            "text": self._text,
            "vae": self._vae,
            "data": self._data,
            "video": self._video,
            "image": self._image,
        }
        stages[stage]()

    def _checkpoint(self, stage: str) -> Path:
        return self.work / f"{stage}.pt"

    def _text_encoder(self) -> umt5.TextEncoder:
        path = self.work / "vocabulary.model"
        if not path.exists():
            path.write_bytes(text.train_vocabulary())
        return text.train(self._checkpoint("text"), path.read_bytes())

    def _trained_vae(self) -> nn.Module:
        return vae.train(self._checkpoint("vae"))

    def _clips(self) -> Tensor:
        return data.clip_latents(self._trained_vae(), self.work)

    def _stills(self) -> Tensor:
        return data.still_latents(self._trained_vae(), self.work)

    def _trained_video(self, encoder: umt5.TextEncoder) -> nn.Module:
        return dit.train_video(self._clips(), encoder, self._checkpoint("video"))

    def _text(self) -> None:
        encoder = self._text_encoder()
        config = export.text_config(umt5.CONFIG, umt5.MIN_LENGTH)
        recipe = {"steps": text.STEPS, "batch": text.BATCH, "lr": text.LR}
        vocabulary = encoder.pieces.serialized_model_proto()
        state = export.text_to_host(encoder.model, vocabulary)
        self._save("fvg_tiny_text_encoder", state, recipe, config=config)

    def _vae(self) -> None:
        recipe = {"curriculum": vae.CURRICULUM, "lr": vae.LR, "base_dim": vae.BASE_DIM}
        self._save("fvg_tiny_vae", export.vae_to_host(self._trained_vae().state_dict()), recipe)

    def _data(self) -> None:
        self._stills()
        self._clips()

    def _video(self) -> None:
        state = export.transformer_to_host(self._trained_video(self._text_encoder()).state_dict())
        self._save_transformer("fvg_tiny_video", state, _recipe("video"), dit.VIDEO)

    def _image(self) -> None:
        encoder = self._text_encoder()
        video = self._trained_video(encoder)
        trained = dit.train_image(video, self._stills(), encoder, self._checkpoint("image"))
        lora = {k: p for k, p in trained.items() if ".lora_" in k}
        ends = {k: p for k, p in trained.items() if k not in lora}
        rank = dit.LORA_RANK
        state = export.transformer_to_host(ends) | export.lora_to_host(lora, float(rank))
        recipe = {
            **_recipe("image"), "more_steps": dit.STEPS["image_more"],
            "more_lr": dit.LR["image_more"], "rank": rank, "alpha": rank,
        }  # fmt: skip
        self._save_transformer("fvg_tiny_image", state, recipe, dit.IMAGE)

    def _save_transformer(self, name: str, state: dict, recipe: dict, config: dict) -> None:
        colors = data.preview_colors(self._trained_vae(), self._stills())
        config = {"transformer": export.wan_config(config)}
        self._save(name, state, recipe, config=config, preview_colors=colors)

    def _save(self, name: str, tensors: dict, recipe: dict, **metadata: dict) -> None:
        path = self.weights / f"{name}.safetensors"
        export.save(path, tensors, {"format": "pt", "recipe": recipe, **metadata})


def _recipe(kind: str) -> dict:
    return {
        "steps": dit.STEPS[kind],
        "batch": dit.BATCH[kind],
        "lr": dit.LR[kind],
        "train_shift": dit.TRAIN_SHIFT,
        "prompt_dropout": dit.PROMPT_DROPOUT,
    }
