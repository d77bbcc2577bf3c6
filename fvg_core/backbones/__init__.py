"""One row per video model, read by what the model is, never by a choice of the user."""

from __future__ import annotations

from dataclasses import replace

from .base import Backbone, BackboneSpec
from .cogvideox import COGVIDEOX15, COGVIDEOX15_5B
from .wan import (
    WAN21,
    WAN21_1_3B,
    WAN21_14B,
    WAN21_I2V,
    WAN21_I2V_14B,
    WAN22_5B,
    WAN22_A14B,
    WAN22_I2V,
    WAN22_I2V_A14B,
)

# What users can load, and the row of each family for a size that is none of them.
MODELS: tuple[BackboneSpec, ...] = (
    WAN21_1_3B,
    WAN21_14B,
    WAN22_A14B,
    WAN22_5B,
    WAN21_I2V_14B,
    WAN22_I2V_A14B,
    COGVIDEOX15_5B,
)
BACKBONES: dict[str, BackboneSpec] = {
    spec.host_class: spec for spec in (WAN21, WAN22_5B, COGVIDEOX15)
}
IMAGE_TO_VIDEO: tuple[BackboneSpec, ...] = (WAN21_I2V, WAN22_I2V)


def family_of(host_class: str, channels: int, clip_vision: bool) -> BackboneSpec | None:
    """The family of a host's model object whose transformer takes this many channels; None for
    one that is in no row, such as a control variant."""
    families = (*BACKBONES.values(), *IMAGE_TO_VIDEO)
    wanted = (host_class, channels, clip_vision)
    return next(
        (f for f in families if (f.host_class, f.input_channels, f.clip_vision) == wanted), None
    )


def _same_family(a: BackboneSpec, b: BackboneSpec) -> bool:
    mark = lambda row: (row.host_class, row.image_channels, row.clip_vision)
    return mark(a) == mark(b)


def model_of(family: BackboneSpec, dim: int, layers: int) -> BackboneSpec:
    """The row of a family's model with this width and number of blocks.

    A Wan 2.1 14B and an expert of A14B have the same weights' names and shapes. For them the row
    names both and has what only one of them has (the boundary of the experts).
    """
    rows = [
        row
        for row in MODELS
        if _same_family(row, family)
        and row.size is not None
        and (row.size.dim, row.size.layers) == (dim, layers)
    ]
    if not rows:
        return family
    row = next((row for row in rows if row.expert_boundary is not None), rows[0])
    return replace(row, name=" or ".join(r.name for r in rows)) if len(rows) > 1 else row


def sampled_as(spec: BackboneSpec, *, pair: bool) -> BackboneSpec:
    """The row whose `sampling` holds for a MODEL of row `spec`, alone or as one of a pair.

    Where `model_of` names two models, one MODEL alone is the Wan 2.1 14B and a pair is A14B.
    """
    alike = (row for row in MODELS if _same_family(row, spec) and row.size == spec.size)
    return next((row for row in alike if (row.expert_boundary is not None) == pair), spec)


__all__ = [
    "BACKBONES",
    "IMAGE_TO_VIDEO",
    "MODELS",
    "WAN22_A14B",
    "WAN22_I2V_A14B",
    "Backbone",
    "BackboneSpec",
    "family_of",
    "model_of",
    "sampled_as",
]
