"""A small random CogVideoX 1.5 for the stock loader, and graphs on it.

Cut down to two heads, two blocks and the tiny world's text features, of which the host reads all.
Two things of the real model it does not have: below 48 heads the host scales latents by 1.15
instead of 0.7 (the real size's scale is tested on the meta device), and CogVideoX's VAE has fixed
widths of 215 million parameters, so the tiny world's VAE stands in, whose latents have the same 16
channels and strides.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from graphs import Builder
from safetensors.torch import save_file
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parents[1] / "core"))

import cogvideox_reference as reference

from fvg_core.lora.names import COGVIDEOX_NAMES

TEXT = 128  # features of the tiny world's text encoder
SCALE = 1.15258426  # comfy/latent_formats.py, CogVideoX


def weights(**sizes) -> dict[str, Tensor]:
    """Under diffusers' names."""
    return reference.network(text_embed_dim=TEXT, **sizes).state_dict()


def write(folder: Path, name: str = "cogvideox", **sizes) -> str:
    """The checkpoint in a folder of diffusion models; its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {COGVIDEOX_NAMES.to_published(k): v for k, v in weights(**sizes).items()}
    save_file(state, folder / f"{name}.safetensors")
    return f"{name}.safetensors"


def start(comfy, **sizes) -> Builder:
    """A graph with the model, the tiny world's VAE and prompts."""
    graph = Builder()
    graph.world(lora=False)
    kind = "-".join(f"{k}{v}" for k, v in sizes.items())
    name = write(comfy.output / "diffusion_models", f"cogvideox{kind}", **sizes)
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    return graph


def prediction(w: dict[str, Tensor], x: Tensor, timestep: Tensor, clean: list[int], text: Tensor):
    """The plain reference's v of x [1, C, F, h, w] with the pairs in `clean` at timestep 0."""
    pairs = timestep.expand(1, x.shape[2] // 2).clone()
    pairs[:, clean] = 0
    return reference.predict(w, x, pairs, timestep.view(1), text)


def ddim(x: Tensor, x0: Tensor, sigma: float, to: float) -> Tensor:
    """CogVideoX's own step between noise levels sigma = sqrt(1 / abar - 1) (diffusers
    CogVideoXDDIMScheduler), in its own scale."""
    a, a_to = (1 + sigma**2) ** -0.5, (1 + to**2) ** -0.5
    eps = (x - a * x0) / (1 - torch.tensor(a, dtype=torch.float64) ** 2).sqrt()
    return a_to * x0 + to * a_to * eps
