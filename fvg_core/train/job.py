"""A training job in a TOML file: TrainConfig's settings, and beside them the model and the data."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..backbones import BackboneSpec
from ..data import Target
from ..errors import TrainingError
from .config import TrainConfig, checked


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFiles(_Table):
    """Folders of diffusers and transformers. The parts are looked for in `folder`, which has the
    layout of a pipeline; each may also be a path of its own."""

    folder: Path
    transformer: Path = Path("transformer")  # "transformer_2": the low-noise expert of A14B
    vae: Path = Path("vae")
    text_encoder: Path = Path("text_encoder")
    tokenizer: Path = Path("tokenizer")
    text_length: int = Field(512, ge=1)  # Wan-Video/Wan2.1 wan/configs/shared_config.py, text_len
    dtype: Literal["bf16", "fp32"] | None = (
        None  # of the frozen weights; the arithmetic's otherwise
    )

    def part(self, name: str) -> Path:
        return self.folder / getattr(self, name)

    def all_of(self, name: str) -> list[Path]:
        """The files of a part, always in one order."""
        return sorted(path for path in self.part(name).rglob("*") if path.is_file())


class Clips(_Table):
    """Clips with captions, and what is made of them."""

    folder: Path
    width: int = Field(832, ge=1)
    height: int = Field(480, ge=1)
    length: int = Field(81, ge=1)  # pixel frames
    fps: float = Field(0, ge=0)  # 0: that of the model family
    bucketing: bool = True  # keep shapes and lengths, or cut everything to this size
    windows: int = Field(1, ge=1)  # pieces taken from a long clip

    def target(self, spec: BackboneSpec) -> Target:
        fps = self.fps or spec.fps
        size = (self.width, self.height, self.length)
        return Target(*size, fps, bucketing=self.bucketing, windows=self.windows)


class Videos(_Table):
    """The video that every validation samples: a held-out clip's caption from its first frame."""

    steps: int = Field(15, ge=0)  # paper, section 5.2; 0: none is sampled
    cfg: float = Field(5.0, ge=0)  # Wan-Video/Wan2.1 wan/configs
    shift: float = Field(5.0, gt=0)


@dataclass(frozen=True)
class Job:
    model: ModelFiles
    data: Clips
    videos: Videos
    config: TrainConfig


_FOLDERS = {"model": ModelFiles, "data": Clips}
_TABLES = {**_FOLDERS, "videos": Videos}


def read_job(path: Path, *, steps: int | None = None) -> Job:
    """The job of a file; `steps` in place of its own. Paths in it are relative to its folder.

    Raises TrainingError naming what is wrong, for unknown settings with the nearest known one.
    """
    values = _toml(path)
    unknown = [*_unknown(values)]
    if unknown:
        raise TrainingError(f"{path.name} has unknown settings: {'; '.join(unknown)}.")
    missing = [name for name in _FOLDERS if name not in values]
    if missing:
        tables = " and ".join(f"[{name}]" for name in missing)
        raise TrainingError(f"{path.name} lacks {tables}; each needs at least a folder.")
    tables = {name: checked(kind, values.pop(name, {}), name) for name, kind in _TABLES.items()}
    if steps is not None:
        values["steps"] = steps
    here = path.resolve().parent
    for name in _FOLDERS:
        table = tables[name]
        tables[name] = table.model_copy(update={"folder": here / table.folder})
    config = TrainConfig.parse(values)
    if (tables["model"].dtype or "fp32") == "bf16" and config.memory.dtype == "fp32":
        raise TrainingError(
            "the weights are to be bf16 (model.dtype) and the arithmetic fp32 (memory.dtype); set "
            "both to the same."
        )
    return Job(**tables, config=config)


def _toml(path: Path) -> dict:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"the settings in {path} cannot be read ({error}).") from error
    except ValueError as error:
        raise TrainingError(f"{path.name} is not TOML: {error}.") from error


def _unknown(values: Mapping) -> Iterator[str]:
    known = {name: field.annotation for name, field in TrainConfig.model_fields.items()} | _TABLES
    yield from _strangers(values, known, "")
    for name, kind in known.items():
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            table = values.get(name)
            if isinstance(table, Mapping):
                yield from _strangers(table, kind.model_fields, f"{name}.")


def _strangers(values: Mapping, known: Mapping, prefix: str) -> Iterator[str]:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, cutoff=0.4)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            yield f"{prefix}{key} ({hint})"
