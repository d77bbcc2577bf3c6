"""What has to be known about a video model family, and what training needs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class BackboneSpec:
    """One family. Strides are pixels (or pixel frames) per latent position."""

    name: str
    host_class: str  # the class name of the host's model object
    latent_channels: int
    stride_space: int
    stride_time: int
    patch_space: int
    fps: float  # frames a second of the clips that the model was trained on
    lora_targets: str  # regex over the module names of the published checkpoints
    expert_boundary: float | None  # sigma from which the high-noise expert of a pair works
    source: str

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return self.stride_space * self.patch_space


class Backbone(Protocol):
    """A video transformer that can be trained, wherever it comes from."""

    spec: BackboneSpec
    module: nn.Module  # the transformer that takes the LoRA

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Its repeated blocks, in order: what is checkpointed and offloaded one at a time."""
        ...

    def published_name(self, name: str) -> str:
        """The name, in the published checkpoints, of a module that `module` calls `name`."""
        ...

    def denoise(self, x: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        """Velocity of latents x [B, C, F, H, W] at sigma [B, F], given text [B, L, D]."""
        ...
