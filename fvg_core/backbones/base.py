"""What has to be known about a video model family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneSpec:
    """One family. Strides are pixels (or pixel frames) per latent position."""

    name: str
    host_class: str  # the class name of the host's model object
    latent_channels: int
    stride_space: int
    stride_time: int
    patch_space: int
    source: str

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return self.stride_space * self.patch_space
