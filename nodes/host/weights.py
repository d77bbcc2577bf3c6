"""Telling one model from another."""

from __future__ import annotations

import hashlib

import torch

_SAMPLED = 64  # values of each weight


def weights_hash(patcher) -> str:
    """A hash of some values of every weight, as they are without LoRAs.

    With LoRAs it holds until the host stops: the host gives them a random name.
    """
    content = hashlib.sha256()
    for name, weight in sorted(patcher.model.named_parameters()):
        weight = patcher.backup[name].weight if name in patcher.backup else weight
        values = getattr(weight, "_qdata", weight).detach().reshape(-1)  # _qdata: of quantised ones
        values = values[:: max(1, len(values) // _SAMPLED)].to("cpu", torch.float32)
        content.update(f"{name} {tuple(weight.shape)}".encode() + values.numpy().tobytes())
    if patcher.patches:
        content.update(str(patcher.patches_uuid).encode())
    return content.hexdigest()[:12]
