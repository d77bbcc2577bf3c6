"""A transformer in diffusers' layout -> one file that ComfyUI's own loader reads.

CogVideoX 1.5 is published in diffusers' layout only. Nothing but the names differs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import ModelMismatchError, WeightsError
from ..lora.names import COGVIDEOX_NAMES, WAN_NAMES

_NAMES = {
    "CogVideoXTransformer3DModel": COGVIDEOX_NAMES,
    "WanTransformer3DModel": WAN_NAMES,
}


def convert(folder: Path, out: Path) -> int:
    """Write the transformer of a folder as one safetensors file, whole or not at all.

    Returns the number of tensors. Needs memory for all of them. Raises WeightsError, or
    ModelMismatchError for a model of another family.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    if out.suffix != ".safetensors" or out.exists():
        raise WeightsError(
            f"{out} exists already, or does not end in .safetensors. Name a new .safetensors file, "
            "for example in ComfyUI's models/diffusion_models."
        )
    part = out.with_name(f".{out.name}.part")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
        if kind not in _NAMES:
            raise ModelMismatchError(
                f"{folder} holds a {kind}; what can be converted is {' or '.join(_NAMES)}. Name "
                "the folder `transformer` of such a pipeline."
            )
        tensors = {}
        for file in _shards(folder):
            with safe_open(file, "pt") as shard:
                for key in shard.keys():  # noqa: SIM118
                    tensors[_NAMES[kind].to_published(key)] = shard.get_tensor(key)
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata={"format": "pt"})
        os.replace(part, out)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        if isinstance(error, ModelMismatchError):
            raise
        raise WeightsError(
            f"{folder} cannot be converted to {out} ({type(error).__name__}: {error}). Name the "
            "folder `transformer` of a complete pipeline in diffusers' layout, and make room for "
            "the file."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return len(tensors)


def _shards(folder: Path) -> list[Path]:
    """The weights' files. Raises ValueError where some are missing."""
    present = sorted(folder.glob("*.safetensors"))
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(named - {path.name for path in present})
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        return [folder / name for name in sorted(named)]
    if len(present) != 1:
        raise ValueError(f"{len(present)} .safetensors files and no index")
    return present
