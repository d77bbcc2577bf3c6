"""All stages in order. Each resumes where it stopped; later ones start from the earlier results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from .. import export
from . import data, dit, text, vae

STAGES = ("text", "vae", "data", "video", "image", "lora")


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
            "lora": self._lora,
        }
        stages[stage]()

    def _checkpoint(self, stage: str) -> Path:
        return self.work / f"{stage}.pt"

    def _text_encoder(self) -> text.TextEncoder:
        path = self.work / "vocabulary.model"
        if not path.exists():
            path.write_bytes(text.train_vocabulary())
        return text.train(self._checkpoint("text"), path.read_bytes())

    def _trained_vae(self) -> nn.Module:
        return vae.train(self._checkpoint("vae"))

    def _trained_video(self, encoder: text.TextEncoder) -> nn.Module:
        latents = data.clip_latents(self._trained_vae(), self.work)
        checkpoint = self._checkpoint("video")
        return dit.train("video", dit.VIDEO, latents, dit.clip_caption, encoder, checkpoint)

    def _text(self) -> None:
        encoder = self._text_encoder()
        config = export.text_config(text.CONFIG, text.MIN_LENGTH)
        recipe = {"steps": text.STEPS, "batch": text.BATCH, "lr": text.LR}
        vocabulary = encoder.pieces.serialized_model_proto()
        state = export.text_to_host(encoder.model, vocabulary)
        self._save("fvg_tiny_text_encoder", state, recipe, config=config)

    def _vae(self) -> None:
        recipe = {"curriculum": vae.CURRICULUM, "lr": vae.LR, "base_dim": vae.BASE_DIM}
        self._save("fvg_tiny_vae", export.vae_to_host(self._trained_vae().state_dict()), recipe)

    def _data(self) -> None:
        trained = self._trained_vae()
        data.still_latents(trained, self.work)
        data.clip_latents(trained, self.work)

    def _video(self) -> None:
        self._save_transformer("video", self._trained_video(self._text_encoder()), dit.VIDEO)

    def _image(self) -> None:
        encoder = self._text_encoder()
        latents = data.still_latents(self._trained_vae(), self.work)
        checkpoint = self._checkpoint("image")
        model = dit.train("image", dit.IMAGE, latents, dit.still_caption, encoder, checkpoint)
        self._save_transformer("image", model, dit.IMAGE)

    def _lora(self) -> None:
        encoder = self._text_encoder()
        model = self._trained_video(encoder)
        latents = data.clip_latents(self._trained_vae(), self.work)
        state = dit.train_lora(model, latents, encoder, self._checkpoint("lora"))
        recipe = {**_recipe("lora"), "rank": dit.LORA_RANK, "alpha": dit.LORA_RANK}
        self._save(
            "loras/fvg_tiny_anchor_lora", export.lora_to_host(state, float(dit.LORA_RANK)), recipe
        )

    def _save_transformer(self, kind: str, model: nn.Module, config: dict) -> None:
        trained = self._trained_vae()
        colors = data.preview_colors(trained, data.still_latents(trained, self.work))
        host_config = {"transformer": export.wan_config(config)}
        state = export.transformer_to_host(model.state_dict())
        self._save(
            f"fvg_tiny_{kind}", state, _recipe(kind), config=host_config, preview_colors=colors
        )

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
