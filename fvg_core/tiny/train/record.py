"""What a stage was really trained with: a file beside its checkpoint, with a part for every change
of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import WeightsError
from ...files import write_whole
from .vae import phase

_EXAMPLE = [{"from": 0, "processes": 1, "batch": 32, "lr": 8e-4}]


def note(path: Path, step: int, settings: dict[str, Any]) -> None:
    """Keep that a stage trains with `settings` from `step` on."""
    parts = [part for part in _read(path) if part["from"] < step]
    settings = json.loads(json.dumps(settings))
    if not parts or parts[-1] != {"from": parts[-1]["from"], **settings}:
        parts.append({"from": step, **settings})
        write_whole(path, json.dumps(parts, indent=1).encode())


def taken(path: Path, steps: int) -> dict[str, Any]:
    """The recipe of a stage that did `steps` steps: their number, the samples that they saw, and
    its parts. Raises WeightsError where nothing is known of the first step."""
    parts = [part for part in _read(path) if part["from"] < steps]
    if not parts or parts[0]["from"]:
        raise WeightsError(
            f"{path} does not say how the model was trained from the first step on; put that at "
            f"its beginning, such as {json.dumps(_EXAMPLE)}."
        )
    ends = [*(part["from"] for part in parts[1:]), steps]
    samples = sum(_seen(part, end) for part, end in zip(parts, ends, strict=True))
    return {"steps": steps, "samples": samples, "parts": parts}


def _seen(part: dict[str, Any], end: int) -> int:
    """Samples of a part that ends before step `end`."""
    steps = range(part["from"], end)
    if "curriculum" in part:
        return part["processes"] * sum(phase(part["curriculum"], step)[-1] for step in steps)
    return part["processes"] * part["batch"] * len(steps)


def _read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
