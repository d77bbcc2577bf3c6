"""Transformers in diffusers' layout, of whatever family: from a folder, or without weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelMismatchError, WeightsError
from . import Backbone, BackboneSpec


@dataclass(frozen=True)
class _Family:
    """diffusers' class, and our module with the Backbone over it, which has `check(config)` and
    `architecture(spec)`."""

    theirs: str
    module: str
    ours: str

    def here(self) -> Any:
        return import_module(f".{self.module}", __package__)


_FAMILIES = {
    "WAN21": _Family("WanTransformer3DModel", "diffusers_wan", "DiffusersWan"),
    "WAN22": _Family("WanTransformer3DModel", "diffusers_wan", "DiffusersWan"),
    "CogVideoX": _Family(
        "CogVideoXTransformer3DModel", "diffusers_cogvideox", "DiffusersCogVideoX"
    ),
}


def load(folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> Backbone:
    """The transformer in a local folder (its config.json and weights), on the CPU.

    Raises WeightsError, or ModelMismatchError for an image-to-video or control variant.
    """
    import diffusers

    folder = Path(folder)
    config = _config(folder)
    family = _family(folder, config)
    family.here().check(config)
    try:
        module = getattr(diffusers, family.theirs).from_pretrained(
            str(folder), torch_dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except Exception as error:  # diffusers raises whatever its readers raise
        raise WeightsError(
            f"the transformer in {folder} cannot be loaded ({error}). Its files are incomplete or "
            "damaged: fetch the folder again."
        ) from error
    return getattr(family.here(), family.ours)(module)


def on_meta(spec: BackboneSpec) -> Backbone:
    """A published model's architecture in bf16, without weights, to be counted."""
    import diffusers

    family = _FAMILIES[spec.host_class]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            module = getattr(diffusers, family.theirs)(**family.here().architecture(spec))
    finally:
        torch.set_default_dtype(before)
    return getattr(family.here(), family.ours)(module, spec)


def _family(folder: Path, config: Mapping) -> _Family:
    kind = config.get("_class_name")
    for family in _FAMILIES.values():
        if family.theirs == kind:
            return family
    known = " or ".join(sorted({f"a {family.theirs}" for family in _FAMILIES.values()}))
    raise ModelMismatchError(
        f"the model in {folder} is {kind}; training without ComfyUI takes {known}, the "
        "text-to-video transformers in diffusers' layout."
    )


def _config(folder: Path) -> dict:
    """The folder's config.json. Raises WeightsError where there is none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("config.json is not an object")
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{folder} holds no diffusers transformer ({error}). Name the folder with its "
            "config.json: `transformer` inside the pipeline's folder, or `transformer_2` for the "
            "low-noise expert of Wan 2.2 A14B."
        ) from error
    return config
