"""Where a training run keeps its files, and what its LoRA file says about itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import folder_paths
from safetensors import SafetensorError, safe_open

from ...fvg_core.errors import TrainingError
from ...fvg_core.lora.files import save_lora
from ...fvg_core.train.checkpoint import changed_settings, list_checkpoints
from ...fvg_core.train.config import DTYPES, TrainConfig
from ...fvg_core.train.recipe import lora_metadata
from ...fvg_core.train.trainer import Dataset, Trainer
from .models import TINY_LORAS

_NAME = re.compile(r"[^\\/:*?\"<>|\x00-\x1f.][^\\/:*?\"<>|\x00-\x1f]{0,99}")
_SUFFIX = ".safetensors"
_PACKAGES = ("torch", "peft", "safetensors")


@dataclass(frozen=True)
class Place:
    """A run's folder, below the host's output, and its LoRA file, in the host's loras."""

    name: str
    folder: Path
    lora: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"


def place_of(name: str) -> Place:
    """Raises TrainingError for a name that is not a plain file name."""
    name = name.strip().removesuffix(_SUFFIX)
    if not _NAME.fullmatch(name) or name[-1] in " .":
        raise TrainingError(
            f"lora_name is {name!r}; it must be a plain file name: without folders, without "
            '\\ / : * ? " < > |, not starting with a dot, and at most 100 characters long.'
        )
    return Place(name, _runs() / name, _loras() / f"{name}{_SUFFIX}")


def _runs() -> Path:
    return Path(folder_paths.get_output_directory()) / "fvg" / "training"


def _loras() -> Path:
    """The first loras folder of the host; the pack's own is not for the user's files."""
    folders = map(Path, folder_paths.get_folder_paths("loras"))
    return next(f for f in folders if f.resolve() != TINY_LORAS.resolve())


def set_aside(place: Place) -> Path | None:
    """Move an earlier run of this name, with its LoRA, out of the way. Returns where to."""
    _check_ours(place)
    if not place.folder.exists() and not place.lora.exists():
        return None
    old = place.folder.parent.with_name("training-old")
    old.mkdir(parents=True, exist_ok=True)
    number = next(n for n in range(1, 10**6) if not (old / f"{place.name}-{n}").exists())
    target = old / f"{place.name}-{number}"
    if place.folder.exists():
        place.folder.rename(target)
    else:
        target.mkdir()
    if place.lora.exists():
        shutil.move(place.lora, target / place.lora.name)  # models may be on another disk
    return target


def recipe(config: TrainConfig, data: Dataset, base: Mapping[str, str]) -> dict[str, str]:
    """What makes two runs the same: settings, clips, model."""
    return {"config": config.model_dump_json(), "dataset": data.fingerprint, **base}


def finished_steps(place: Place, wanted: Mapping[str, str], config: TrainConfig) -> int:
    """Steps of the LoRA file that is there; 0 where none is.

    Raises TrainingError where the file is of another run, which must not be overwritten.
    """
    if not place.lora.exists():
        return 0
    written = _check_ours(place)
    steps = int(written["steps"])
    changed = changed_settings(json.loads(written["config"]), steps, config)
    changed += [k for k in wanted if k != "config" and wanted[k] != written.get(k)]
    if changed:
        raise TrainingError(
            f"{place.lora.name} exists already and was trained otherwise ({'; '.join(changed)}). "
            "Choose another lora_name, restore the settings, or set if_exists to 'start again', "
            "which moves the old one aside."
        )
    if steps < config.steps and not list_checkpoints(place.checkpoints):
        raise TrainingError(
            f"{place.lora.name} was trained for {steps} steps, but its checkpoints are gone, so "
            "training cannot go on from there. Choose another lora_name, or set if_exists to "
            "'start again', which moves the old one aside."
        )
    return steps


def _check_ours(place: Place) -> dict[str, str]:
    """The metadata of a LoRA that this trainer wrote; {} where there is no file."""
    if not place.lora.exists():
        return {}
    try:
        with safe_open(place.lora, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        metadata = {}
    if "fvg" not in metadata:
        raise TrainingError(
            f"{place.lora.name} exists already among the LoRAs and was not made by this trainer. "
            "Choose another lora_name, or move the file away."
        )
    return metadata


def save_trained(trainer: Trainer, place: Place, wanted: Mapping[str, str]) -> None:
    """Write the LoRA as the host's loaders read it, with everything that made it."""
    place.lora.parent.mkdir(parents=True, exist_ok=True)
    metadata = lora_metadata(trainer, place.name, wanted["base_model"], _PACKAGES)
    save_lora(
        place.lora,
        trainer.lora_state(),
        alpha=trainer.config.alpha,
        metadata={**metadata, **wanted},
        dtype=DTYPES[trainer.config.memory.dtype],
    )
