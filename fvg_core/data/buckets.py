"""Sizes and lengths that the VAE accepts, and which of them each clip is cut to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ..backbones import BackboneSpec
from ..errors import SizeError
from ..frames import check_size, latent_length
from .decode import frame_count, frame_rate
from .scan import ClipFile, Listing, Rejected

_MAX_ASPECT = 3.0  # no bucket is longer than this many times its other side


class Bucket(NamedTuple):
    """Width and height in pixels, length in pixel frames."""

    width: int
    height: int
    length: int


@dataclass(frozen=True)
class Target:
    """What clips become. `fps`: frames a second; `windows`: pieces taken from a long clip.

    bucketing: keep each clip's shape and length as far as the VAE allows; without it every clip is
    cut to exactly this size and length.
    """

    width: int
    height: int
    length: int
    fps: float
    bucketing: bool = True
    windows: int = 1


@dataclass(frozen=True)
class Sample:
    """One piece of a clip: its bucket, and its first frame at the target's frame rate."""

    clip: ClipFile
    bucket: Bucket
    start: int
    fps: float


@dataclass(frozen=True)
class Plan:
    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...]


def plan(listing: Listing, target: Target, spec: BackboneSpec) -> Plan:
    """What is cut from each clip of a listing. Raises SizeError for a size the VAE cannot hold."""
    check_target(target, spec)
    samples: list[Sample] = []
    rejected = list(listing.rejected)
    for clip in listing.clips:
        count = frames_at(clip, target.fps)
        length = longest(count, target, spec.stride_time)
        if length is None:
            need = 1 + spec.stride_time if target.bucketing else target.length
            why = f"too short: {count} frames at {target.fps:g} a second, and {need} are needed"
            rejected.append(Rejected(clip.name, why))
            continue
        size = (target.width, target.height)
        if target.bucketing:
            size = nearest_size(clip.facts.width, clip.facts.height, *size, spec.size_multiple)
        for start in starts(count, length, target.windows, spec.stride_time):
            samples.append(Sample(clip, Bucket(*size, length), start, target.fps))
    return Plan(tuple(samples), tuple(sorted(rejected, key=lambda r: (r.path, r.reason))))


def check_target(target: Target, spec: BackboneSpec) -> None:
    """Raise SizeError for a target that the VAE cannot hold, or that is no video."""
    check_size(target.width, target.height, spec.size_multiple)
    if latent_length(target.length, spec.stride_time) < 2:
        raise SizeError(
            f"length is {target.length} frame, and that is a picture. Set at least "
            f"{1 + spec.stride_time} frames."
        )


def frames_at(clip: ClipFile, fps: float) -> int:
    """Frames of a clip at a frame rate. A folder of frames is taken to have that rate."""
    if clip.facts.duration is None:
        return clip.facts.frames
    return frame_count(clip.facts.duration, frame_rate(fps))


def longest(count: int, target: Target, stride: int) -> int | None:
    """The longest length of 1 + stride * n frames that clip and target allow; None below two
    latent frames, and without bucketing below the target."""
    length = min(count, target.length)
    length -= (length - 1) % stride
    if length < (1 + stride if target.bucketing else target.length):
        return None
    return length


def sizes(width: int, height: int, multiple: int) -> Iterator[tuple[int, int]]:
    """Sizes of all shapes, never larger in area than width x height, which is one of them."""
    area = width * height
    for w in range(multiple, area // multiple + 1, multiple):
        h = area // w // multiple * multiple
        if (w, h) == (width, height) or max(w, h) <= _MAX_ASPECT * min(w, h):
            yield w, h


def nearest_size(
    clip_width: int, clip_height: int, width: int, height: int, multiple: int
) -> tuple[int, int]:
    """The size of `sizes` whose shape is nearest to the clip's, of equals the largest."""

    def distance(size: tuple[int, int]) -> tuple[Fraction, int]:
        ratio = Fraction(size[0] * clip_height, size[1] * clip_width)
        return max(ratio, 1 / ratio), -size[0] * size[1]

    return min(sizes(width, height, multiple), key=distance)


def starts(count: int, length: int, windows: int, stride: int) -> list[int]:
    """First frames of up to `windows` pieces, evenly spread, at least one latent frame apart."""
    room = count - length
    pieces = min(windows, 1 + room // stride)
    return [round(i * room / (pieces - 1)) for i in range(pieces)] if pieces > 1 else [0]
