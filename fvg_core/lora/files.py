"""LoRA files: every common layout in, the host's and diffusers' out."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import LoraError
from .layouts import ADAPTER_METADATA, config_alphas, parse, spell
from .names import Names, names_of, natural_order

LAYOUTS = ("host", "diffusers")  # that we write


@dataclass(frozen=True)
class LoraFile:
    """A LoRA in published names: `<layer>.lora_A.weight` [rank, in], `.lora_B.weight` [out, rank].

    Each layer adds alpha / (its rank) * B A. `rank` is the largest of the layers' ranks.
    """

    tensors: dict[str, Tensor]
    alpha: dict[str, float]
    rank: int
    metadata: dict[str, str]
    layout: str


def save_lora(
    path: str | Path,
    state: Mapping[str, Tensor],
    *,
    alpha: float | Mapping[str, float],
    metadata: Mapping[str, object],
    layout: str = "host",
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Write a LoRA, whole or not at all. Raises LoraError.

    state: as of `Adapter.state` and `LoraFile.tensors`; alpha: for all layers, or by layer;
    metadata: values that are not text become JSON.
    """
    if layout not in LAYOUTS:
        raise LoraError(f"the LoRA layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    ranks = _ranks(state, "the LoRA to be saved")
    names = names_of(state)
    alphas = dict(alpha) if isinstance(alpha, Mapping) else dict.fromkeys(ranks, float(alpha))
    tensors, text = {}, {"format": "pt", **{k: _text(v) for k, v in metadata.items()}}
    text.pop(ADAPTER_METADATA, None)  # of a file that was read
    for module in sorted(ranks, key=natural_order):
        for part in "AB":
            value = state[f"{module}.lora_{part}.weight"].detach().to("cpu", dtype)
            tensors[spell(module, part, layout, names)] = value.contiguous()
        # Left out it means the rank, to every reader; diffusers' converter of the host's layout
        # takes none at all on the embedders and the head.
        if layout == "host" and alphas[module] != ranks[module]:
            tensors[spell(module, "alpha", layout, names)] = torch.tensor(alphas[module])
    if layout == "diffusers":
        text[ADAPTER_METADATA] = json.dumps(_adapter_metadata(ranks, alphas, names), sort_keys=True)
    _write(Path(path), tensors, text)


def read_lora(path: str | Path) -> LoraFile:
    """Read a LoRA for Wan or CogVideoX in any layout of `layouts`. Raises LoraError."""
    path = Path(path)
    raw, metadata = _open(path)
    names = names_of(raw)
    tensors: dict[str, Tensor] = {}
    alpha: dict[str, float] = {}
    layouts: Counter[str] = Counter()
    unknown, twice = [], []
    for key, value in raw.items():
        parsed = parse(key, names)
        if parsed is None:
            unknown.append(key)
            continue
        layout, module, part = parsed
        layouts[layout] += 1
        name, into = (
            (module, alpha) if part == "alpha" else (f"{module}.lora_{part}.weight", tensors)
        )
        if name in into:
            twice.append(key)
        into[name] = _scalar(key, value, path) if part == "alpha" else value
    _refuse(
        path, unknown, "are not of a plain LoRA (A, B, alpha) on linear layers of a known family"
    )
    _refuse(path, twice, "name a weight that another key has named already")
    ranks = _ranks(tensors, path.name)
    _refuse(path, sorted(alpha.keys() - ranks.keys()), "have an alpha but no weights")
    layout = layouts.most_common(1)[0][0]
    alphas = {**config_alphas(_config(path, metadata, layout), ranks, names), **alpha}
    return LoraFile(tensors, alphas, max(ranks.values()), metadata, layout)


def _ranks(tensors: Mapping[str, Tensor], what: str) -> dict[str, int]:
    """The rank of every layer. Raises LoraError for half a pair or shapes that do not multiply."""
    if not tensors:
        raise LoraError(
            f"{what} holds no LoRA weights. Choose a LoRA that was trained for Wan or CogVideoX."
        )
    ranks = {}
    for key, value in tensors.items():
        module, _, part = key.removesuffix(".weight").rpartition(".lora_")
        other = f"{module}.lora_{'B' if part == 'A' else 'A'}.weight"
        if other not in tensors:
            raise LoraError(
                f"{what} has {key} but not {other}. It is incomplete: fetch or save it again."
            )
        if part == "A":
            a, b = value.shape, tensors[other].shape
            if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not a[0]:
                raise LoraError(
                    f"{what} has A {list(a)} and B {list(b)} for {module}; they must be "
                    "[rank, in] and [out, rank]. It is damaged or not a plain LoRA."
                )
            ranks[module] = a[0]
    return ranks


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.suffix != ".safetensors":
        raise LoraError(
            f"{path.name} is not a .safetensors file, and no other format is read: it could run "
            "code. Convert it with the tool that made it."
        )
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise LoraError(f"{path} does not exist. Check the name of the LoRA.") from error
    except (OSError, SafetensorError) as error:
        raise LoraError(
            f"{path.name} cannot be read ({error}). It is cut off or no safetensors file: fetch "
            "it again, or take an earlier checkpoint."
        ) from error


def _scalar(key: str, value: Tensor, path: Path) -> float:
    if value.numel() != 1 or not math.isfinite(value.item()):
        raise LoraError(f"{path.name}: {key} must be one finite number. The file is damaged.")
    return float(value)


def _refuse(path: Path, keys: list[str], why: str) -> None:
    if keys:
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        raise LoraError(
            f"{path.name}: {', '.join(keys[:4])}{more} {why}. Nothing was read. Choose a LoRA that "
            "was trained for a text-to-video model of Wan or CogVideoX."
        )


def _config(path: Path, metadata: Mapping[str, str], layout: str) -> dict:
    """peft's configuration of the LoRA, from the metadata or the file beside it; {} without."""
    beside = path.with_name("adapter_config.json")
    try:
        if ADAPTER_METADATA in metadata:
            stored = json.loads(metadata[ADAPTER_METADATA])
            return {k.removeprefix("transformer."): v for k, v in stored.items()}
        if layout == "peft" and beside.is_file():
            return dict(json.loads(beside.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, TypeError) as error:
        raise LoraError(
            f"the LoRA configuration of {path.name} is not JSON as peft writes it ({error}). "
            "Fetch the LoRA again."
        ) from error
    return {}


def _adapter_metadata(
    ranks: Mapping[str, int], alphas: Mapping[str, float], names: Names
) -> dict[str, object]:
    """What diffusers needs to know to apply the right scale, keyed as it keys it."""
    rank = Counter(ranks.values()).most_common(1)[0][0]
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    theirs = names.to_diffusers
    pattern = lambda values, usual: {theirs(m): v for m, v in values.items() if v != usual}
    return {
        "transformer.r": rank,
        "transformer.lora_alpha": alpha,
        "transformer.rank_pattern": pattern(ranks, rank),
        "transformer.alpha_pattern": pattern(alphas, alpha),
        "transformer.target_modules": sorted(map(theirs, ranks), key=natural_order),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(dict(tensors), part, metadata=dict(metadata))
        part.chmod(0o644)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise LoraError(
            f"{path.name} cannot be written to {path.parent} ({error}). Make room there, or choose "
            "another folder; what stood there before is untouched."
        ) from error
    finally:
        part.unlink(missing_ok=True)
