"""Held-out scores of the models on the way: are their curves flat?

Sampled with diffusers' own modules, without a server: for watching a training, not for tables.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...categories import CATEGORIES
from ...guidance import classifier_free
from ...schedules import shift_sigma
from .. import captions
from ..captions import POSITIONS, Span
from ..render import FRAMES, SIZE, render
from ..scenes import Scene, sample_scene
from ..scorer import beside, cast, composition, score, track
from ..seeing import Blob, Frame, look
from .data import denormalise, normalise
from .umt5 import TextEncoder
from .vae import pixels_to_input

SHIFT = 3.0
CFG = 3.0
_BATCH = 8
_CENTER = 1 / 6  # farthest that what is said to be in the center may be from it, along each side

Scores = dict[str, float | None]  # None where there was nothing to judge


def held_out(count: int) -> list[Scene]:
    """Held-out scenes, `count` of each category; not those of any table."""
    rng = random.Random(1234)
    return [sample_scene(rng, c, held_out=True) for c in CATEGORIES for _ in range(count)]


@torch.no_grad()
def sample(
    model: nn.Module, text: TextEncoder, prompts: list[str], frames: int, steps: int
) -> Tensor:
    """Normalised latents [B, 16, frames, H, W] by Euler's method with guidance, seed 0."""
    features, empty = text(prompts), text([""] * len(prompts))
    shape = (len(prompts), 16, frames, SIZE // 8, SIZE // 8)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(features)
    sigmas = shift_sigma(torch.linspace(1, 0, steps + 1), SHIFT).tolist()
    for now, then in itertools.pairwise(sigmas):
        t = torch.full((len(x),), now * 1000, device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            told, untold = (
                model(x, timestep=t, encoder_hidden_states=f, return_dict=False)[0].float()
                for f in (features, empty)
            )
        x = x + (then - now) * classifier_free(told, untold, CFG)
    return x


@torch.no_grad()
def decode(vae: nn.Module, z: Tensor) -> Tensor:
    """uint8 pixels [B, F, H, W, 3] of normalised latents."""
    with torch.autocast(z.device.type, torch.bfloat16):
        pixels = vae.decode(denormalise(vae, z)).sample.float()
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 4, 1).cpu()


def clips(
    model: nn.Module, text: TextEncoder, vae: nn.Module, scenes: Sequence[Scene], steps: int
) -> Iterator[np.ndarray]:
    """A video, uint8 [F, H, W, 3], of the plain prompt of each scene."""
    prompts = [captions.text(captions.prompt_spans(s.prompt)) for s in scenes]
    latent_frames = (FRAMES - 1) // 4 + 1
    for some in _batches(prompts):
        yield from decode(vae, sample(model, text, some, latent_frames, steps)).numpy()


def pictures(
    model: nn.Module, text: TextEncoder, vae: nn.Module, prompts: Sequence[str], steps: int
) -> Iterator[np.ndarray]:
    """A picture, uint8 [1, H, W, 3], of each prompt."""
    for some in _batches(prompts):
        yield from decode(vae, sample(model, text, some, 1, steps)).numpy()


@torch.no_grad()
def reconstructions(vae: nn.Module, scenes: Sequence[Scene]) -> Iterator[np.ndarray]:
    """The drawn video of each scene after the VAE, uint8 [F, H, W, 3]."""
    for some in _batches(scenes):
        pixels = render(some, device=vae.device)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            z = vae.encode(pixels_to_input(pixels)).latent_dist.mean
        yield from decode(vae, normalise(vae, z.float())).numpy()


def vae_scores(vae: nn.Module, count: int) -> dict[str, Scores]:
    """Mean score by category of reconstructions of `count` held-out scenes each."""
    scenes = held_out(count)
    seen = zip(reconstructions(vae, scenes), scenes, strict=True)
    return {"score": _by_category([score(video, s.prompt) for video, s in seen])}


def video_scores(
    model: nn.Module, text: TextEncoder, vae: nn.Module, count: int, steps: int
) -> dict[str, Scores]:
    """Mean score and composition by category of videos of `count` held-out prompts each."""
    scenes = held_out(count)
    seen = list(zip(clips(model, text, vae, scenes, steps), scenes, strict=True))
    return {
        "score": _by_category([score(video, s.prompt) for video, s in seen]),
        "composition": _by_category([composition(video, s.prompt) for video, s in seen]),
    }


def image_scores(
    model: nn.Module, text: TextEncoder, vae: nn.Module, count: int, steps: int
) -> dict[str, Scores]:
    """How many pictures show what the first-frame caption says of `count` held-out scenes each:
    the whole cast, by category and where it is two objects; the sides and the places that are
    said. In chance wordings and in the plain one."""
    scenes, rng = held_out(count), random.Random(0)
    found = {}
    for wording, chance in (("chance wordings", rng), ("plain wording", None)):
        said = [captions.moment_spans(s, 0.0, chance) for s in scenes]
        drawn = pictures(model, text, vae, [captions.text(spans) for spans in said], steps)
        frames = [look(picture)[0] for picture in drawn]
        found[wording] = picture_scores(frames, scenes, said)
    return found


def picture_scores(
    frames: Sequence[Frame], scenes: Sequence[Scene], said: Sequence[Sequence[Span]]
) -> Scores:
    """Shares of what captions say of their scenes' first frames that pictures show."""
    casts, pairs, sides, places = [], [], [], []
    for frame, scene, spans in zip(frames, scenes, said, strict=True):
        actors = scene.prompt.actors
        casts.append(cast([frame], actors))
        if len(scene.bodies) == 2:
            pairs.append(casts[-1])
        if side := captions.side_said(spans):
            sides.append(beside([frame], actors, side))
        for span in spans:
            if place := _place_said(span):
                (blob,) = track([frame], actors[span.owner].color)
                places.append(bool(blob) and _is_at(blob, place))
    shares = {"two objects": pairs, "sides": sides, "places": places}
    return {
        **_by_category(casts),
        **{name: float(np.mean(v)) if v else None for name, v in shares.items()},
    }


def _place_said(span: Span) -> str | None:
    """Where, of POSITIONS, a span says that its actor is."""
    ways = POSITIONS.items() if span.owner is not None else ()
    return next((place for place, said in ways if any(w in span.text for w in said)), None)


def _is_at(blob: Blob, place: str) -> bool:
    """In that half of the picture, or about its center."""
    x, y = blob.x - 0.5, blob.y - 0.5
    if place == "center":
        return max(abs(x), abs(y)) < _CENTER
    return {"left": -x, "right": x, "top": -y, "bottom": y}[place] > 0


def _by_category(found: Sequence[float]) -> Scores:
    """Means of what was found of as many scenes of each category, in the order of `held_out`."""
    means = np.reshape(found, (len(CATEGORIES), -1)).mean(1).tolist()
    return {**dict(zip(CATEGORIES, means, strict=True)), "average": float(np.mean(means))}


def _batches(items: Sequence) -> Iterator[Sequence]:
    return (items[i : i + _BATCH] for i in range(0, len(items), _BATCH))
