"""Wan 2.2 5B: the host's own per-frame timesteps and our hold give the same video."""

from __future__ import annotations

import uuid
from pathlib import Path

import checkpoints
import pytest
import torch
from graphs import Builder
from safetensors import safe_open
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.host


def write_random(folder: Path) -> str:
    """A 48-channel Wan with random weights where the tiny one has 16 channels; its file name."""
    name = checkpoints.write("wan22_5b", folder)
    with safe_open(folder / name, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(folder / name)
    generator = torch.Generator().manual_seed(0)
    for key in ("patch_embedding.weight", "head.head.weight"):
        tensors[key] = torch.randn(tensors[key].shape, generator=generator) * 0.05
    name = f"random-{name}"
    save_file(tensors, folder / name, metadata=metadata)
    return name


@pytest.fixture
def checkpoint(comfy) -> str:
    return write_random(comfy.output / "diffusion_models")


def test_native_mask_path_and_ours_agree(comfy, client, checkpoint):
    graph = Builder()
    graph.world(lora=False)
    native = graph.model = [
        graph.add("UNETLoader", unet_name=checkpoint, weight_dtype="default"),
        0,
    ]
    anchor = [graph.add("FVGRandomLatent", channels=48, size=4, seed=1), 0]
    graph.inject(anchor_latent=anchor)
    names = {kind: f"{kind}-{uuid.uuid4().hex}" for kind in ("clean", "ours", "native")}
    graph.save(graph.latent, names["clean"])
    graph.save(graph.sample_stock(steps=6), names["ours"])
    graph.model = native
    graph.save(graph.sample_stock(steps=6), names["native"])
    client.run(graph.graph)
    clean, ours, theirs = (
        load_file(next(comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]
        for name in names.values()
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert torch.equal(ours[:, :, 0], clean[:, :, 0])
    assert (ours[:, :, 1:] - clean[:, :, 1:]).abs().mean() > 0.1


def test_an_empty_video_of_another_family_is_fitted_to_the_model(comfy, client, checkpoint):
    """What plain text-to-video starts from; the 5B's grid is twice as coarse as Wan 2.1's."""
    graph = Builder()
    graph.world(lora=False)
    graph.model = [graph.add("UNETLoader", unet_name=checkpoint, weight_dtype="default"), 0]
    size = {"width": 64, "height": 32, "length": 5, "batch_size": 1}
    graph.latent = [graph.add("EmptyHunyuanLatentVideo", **size), 0]
    names = {kind: f"{kind}-{uuid.uuid4().hex}" for kind in ("ours", "stock")}
    graph.save(graph.sample(steps=1), names["ours"])
    graph.save(graph.sample_stock(steps=1), names["stock"])
    client.run(graph.graph)
    ours, stock = (
        load_file(next(comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]
        for name in names.values()
    )
    assert ours.shape == stock.shape == (1, 48, 2, 2, 4)
