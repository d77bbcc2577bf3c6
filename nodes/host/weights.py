"""Telling one model from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

_SAMPLED = 64  # values of each weight


def weights_hash(patcher) -> str:
    """A hash of some values of every weight, as they are without LoRAs.

    With LoRAs it holds until the host stops: the host gives them a random name.
    """
    content = hashlib.sha256()
    for name, weight in sorted(patcher.model.named_parameters()):
        weight = patcher.backup[name].weight if name in patcher.backup else weight
        content.update(f"{name} ".encode() + _some_values(weight))
    if patcher.patches:
        content.update(str(patcher.patches_uuid).encode())
    return content.hexdigest()[:12]


def patches_hash(patcher) -> str:
    """A hash of the LoRAs and merges on a MODEL: their strengths, and some values of their
    weights. "" where there are none."""
    content = hashlib.sha256()
    for name, patches in sorted(patcher.patches.items()):
        content.update(name.encode())
        for part in _parts(patches):
            content.update(part)
    return content.hexdigest()[:16] if patcher.patches else ""


def _parts(value: object) -> Iterator[bytes]:
    """What tells one patch from another: adapters, and tuples within tuples."""
    if isinstance(value, Tensor):
        yield _some_values(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
    elif hasattr(value, "weights"):
        yield type(value).__name__.encode()
        yield from _parts(value.weights)
    elif not callable(value):
        yield repr(value).encode()


def _some_values(weight: Tensor) -> bytes:
    values = getattr(weight, "_qdata", weight).detach().reshape(-1)  # _qdata: of quantised ones
    values = values[:: max(1, len(values) // _SAMPLED)].to("cpu", torch.float32)
    return f"{tuple(weight.shape)}".encode() + values.numpy().tobytes()
