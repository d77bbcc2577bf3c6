"""Checkpoints: everything a run needs to go on bit for bit, in one safetensors file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from ..errors import TrainingError
from .config import TrainConfig
from .trainer import Trainer


class DamagedCheckpointError(TrainingError):
    """A checkpoint file that cannot be read."""


_NAME = re.compile(r"step-(\d{8})\.safetensors")


def save_checkpoint(trainer: Trainer, folder: Path, keep: int) -> Path:
    """Write the trainer's state, whole or not at all; then drop all but the last `keep`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{trainer.step:08d}.safetensors"
    part = path.with_suffix(".part")
    tensors, numbers = _pack(trainer)
    metadata = {
        "step": str(trainer.step),
        "optimizer": json.dumps(numbers),
        "config": trainer.config.model_dump_json(),
        "dataset": trainer.data.fingerprint,
        "base": trainer.base,
    }
    try:
        save_file(tensors, part, metadata)
        _to_disk(part)
    except (OSError, SafetensorError) as error:  # a full disk comes as either
        part.unlink(missing_ok=True)
        raise TrainingError(
            f"the checkpoint {path.name} could not be written ({error}). Free some space and "
            f"start again: training goes on from the last one in {folder}."
        ) from error
    os.replace(part, path)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(p for p in folder.glob("step-*.safetensors") if _NAME.fullmatch(p.name))


def load_checkpoint(trainer: Trainer, path: Path) -> None:
    """Put a trainer where it was when the checkpoint was written.

    Raises DamagedCheckpointError, and TrainingError for one of other settings, data or model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedCheckpointError(f"the checkpoint {path.name} is damaged ({error}).") from error
    _check_same(trainer, path, metadata)
    _unpack(trainer, tensors, json.loads(metadata["optimizer"]))
    trainer.step = int(metadata["step"])


def _pack(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, dict]]:
    tensors = {f"lora.{k}": v for k, v in trainer.adapter.state().items()}
    tensors |= {f"ema.{i:06d}": t.cpu() for i, t in enumerate(trainer.ema)}
    numbers: dict[str, dict] = {}
    for index, entries in trainer.optimizer.state_dict()["state"].items():
        for key, value in _flat(entries):
            if isinstance(value, Tensor):
                # A copy: a file cannot hold a tensor that several parameters share.
                copied = value.to("cpu", copy=True)
                tensors[f"optimizer.{index}.{key}"] = copied.contiguous()
            else:
                numbers.setdefault(str(index), {})[key] = value
    return tensors, numbers


def _flat(entries: dict) -> Iterator[tuple[str, object]]:
    """bitsandbytes puts its quantised state into a dict within, and reads it without one too."""
    for key, value in entries.items():
        if isinstance(value, dict):
            yield from value.items()
        else:
            yield key, value


def _unpack(trainer: Trainer, tensors: dict[str, Tensor], numbers: dict[str, dict]) -> None:
    lora = {k.removeprefix("lora."): v for k, v in tensors.items() if k.startswith("lora.")}
    trainer.adapter.load(lora)
    for i, slow in enumerate(trainer.ema):
        slow.copy_(tensors[f"ema.{i:06d}"])
    state: dict[int, dict] = {int(i): dict(entries) for i, entries in numbers.items()}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    trainer.optimizer.load_state_dict({**trainer.optimizer.state_dict(), "state": state})


def changed_settings(before: dict, steps: int, config: TrainConfig) -> list[str]:
    """What differs between a config, written after so many steps, and this one among the settings
    that shape the weights. Free are how long to train, the learning rate of steps to come, how to
    fit into memory (with dropout `micro_batch` changes which inputs are left out) and what to
    write on the way."""
    free = {"steps", "micro_batch", "memory", "keep"}
    now = json.loads(config.model_dump_json())
    if steps < config.steps:
        before, now = _without_rate(before), _without_rate(now)
    changed = [
        f"{section} {before.get(section)} -> {now[section]}"
        for section in now
        if section not in free and now[section] != before.get(section)
    ]
    if before["keep"]["validation_clips"] != now["keep"]["validation_clips"]:
        changed.append("keep.validation_clips")
    return changed


def _without_rate(config: dict) -> dict:
    return {**config, "optimizer": {k: v for k, v in config["optimizer"].items() if k != "lr"}}


def _check_same(trainer: Trainer, path: Path, metadata: dict[str, str]) -> None:
    before, steps = json.loads(metadata["config"]), int(metadata["step"])
    changed = changed_settings(before, steps, trainer.config)
    if metadata["dataset"] != trainer.data.fingerprint:
        changed.append("the dataset")
    if metadata.get("base") != trainer.base:
        changed.append("the model")
    if changed:
        raise TrainingError(
            f"{path.name} belongs to a run with other settings ({'; '.join(changed)}). Restore "
            "them to go on, or start a new run under another name."
        )


def _to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
