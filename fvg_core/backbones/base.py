"""What has to be known about a video model family, and what training needs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from ..process import FLOW, Process


@dataclass(frozen=True)
class Size:
    """Of the transformer: what tells models of one family apart."""

    dim: int
    ffn: int
    layers: int


@dataclass(frozen=True)
class Sampling:
    """How the model's authors sample it without an anchor. Several numbers: a range."""

    steps: int
    shift: tuple[float, ...]  # none: the model's schedule has no shift
    cfg: float  # of the high-noise expert where there are two
    width: int
    height: int
    frames: int
    cfg_low_noise: float | None = None
    negative: str = "sample_neg_prompt in Wan-Video wan/configs/shared_config.py"


@dataclass(frozen=True)
class ModelFile:
    """A file and its place below the host's `models`."""

    folder: str
    name: str


@dataclass(frozen=True)
class BackboneSpec:
    """One row: a family, or a published model of it.

    Strides are pixels (or pixel frames) per latent position.
    """

    name: str
    host_class: str  # the class name of the host's model object
    latent_channels: int
    stride_space: int
    stride_time: int
    patch_space: int
    fps: float  # frames a second of the clips that the model was trained on
    lora_targets: str  # regex over the module names of the published checkpoints
    expert_boundary: float | None  # sigma from which the high-noise expert of a pair works
    anchor_rule: str  # how a frame of it is anchored
    anchor_lora: str | None  # None: not needed; otherwise what there is
    source: str
    size: Size | None = None  # None: of any size
    sampling: Sampling | None = None
    files: tuple[ModelFile, ...] = ()  # as the host's own templates name them
    patch_time: int = 1  # latent frames in a token
    process: Process = FLOW
    image_channels: int = 0  # of an image-to-video model: a mask and a latent beside the noisy one
    memory_factor: float | None = None  # of the host's estimate; None: Wan's, which is its width
    clip_vision: bool = False  # whether it can look at its picture through CLIP vision too

    @property
    def input_channels(self) -> int:
        """What the transformer takes."""
        return self.latent_channels + self.image_channels

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return self.stride_space * self.patch_space

    @property
    def needs_lora(self) -> bool:
        """Whether the model does not know what a clean frame is until a LoRA tells it."""
        return self.anchor_lora is not None


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
        """What `spec.process` calls v, of latents x [B, C, F, H, W] whose frames are at time
        sigma [B, F], given text [B, L, D]. F is a whole number of tokens."""
        ...
