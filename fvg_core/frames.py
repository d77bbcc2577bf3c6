"""Pixel frames and latent frames of a causal video VAE, and sizes that a model accepts.

Wan's VAE turns the first pixel frame into latent frame 0 and every further `stride` pixel frames
into one more, so a clip has 1 + stride * n pixel frames.
"""

from __future__ import annotations

from .errors import AnchorError, SizeError


def latent_length(pixel_length: int, stride: int) -> int:
    """Latent frames of a clip. Raises SizeError unless pixel_length = 1 + stride * n."""
    if pixel_length < 1 or (pixel_length - 1) % stride:
        lower = max(1, pixel_length - (pixel_length - 1) % stride)
        raise SizeError(
            f"length is {pixel_length} frames; this model takes 1 + {stride} x n frames. "
            f"The nearest valid lengths are {lower} and {lower + stride}."
        )
    return 1 + (pixel_length - 1) // stride


def latent_frame(pixel_frame: int, pixel_length: int, stride: int) -> int:
    """The latent frame that holds a pixel frame. Negative frames count from the end.

    Raises AnchorError for a frame outside the clip.
    """
    if not -pixel_length <= pixel_frame < pixel_length:
        raise AnchorError(
            f"anchor frame {pixel_frame} lies outside a clip of {pixel_length} frames; "
            f"use 0 to {pixel_length - 1}, or -1 for the last."
        )
    return (pixel_frame % pixel_length + stride - 1) // stride


def check_size(width: int, height: int, multiple: int) -> None:
    """Raise SizeError unless width and height are positive multiples of `multiple` pixels."""
    for name, value in (("width", width), ("height", height)):
        if value <= 0 or value % multiple:
            lower = max(multiple, value - value % multiple)
            nearest = [lower] if lower > value else [lower, lower + multiple]
            raise SizeError(
                f"{name} is {value} pixels; this model takes multiples of {multiple}. "
                f"The nearest valid: {' and '.join(map(str, nearest))}."
            )
