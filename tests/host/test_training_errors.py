"""What the trainer refuses, and that it leaves everything as it was."""

from __future__ import annotations

import shutil

import checkpoints
import pytest
import torch
from safetensors.torch import save_file
from training import Files, new_name, random_data, refused, tiny, train

from fvg_core.bench.client import RejectedError

pytestmark = pytest.mark.host


def random(channels=16, **more):
    return lambda graph: random_data(graph, channels=channels, **more)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (random(48), "latents have 48 channels, but the MODEL"),
        (random(features=64), "texts have 64 features, but the MODEL takes 128"),
        (random(count=0), "the dataset is empty"),
        (random(broken=True), "the loss became nan"),
    ],
)
def test_a_dataset_that_does_not_fit(comfy, client, data, said):
    name = new_name()
    assert said in refused(client, name, data)
    assert not Files(comfy, name).lora.exists()


def test_clips_that_are_all_held_out(client):
    assert "nothing is left to train on" in refused(client, new_name(), validation_clips=4)


@pytest.mark.parametrize(
    "name", ["", "../escape", "a/b", "a\\b", "/abs", "C:x", ".hidden", "dot.", "x" * 101]
)
def test_a_name_that_is_no_file_name(comfy, client, name):
    assert "must be a plain file name" in refused(client, name)


def test_a_lora_of_someone_else_stays(comfy, client):
    name = new_name()
    path = Files(comfy, name).lora
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"x": torch.zeros(1)}, path)
    before = path.read_bytes()
    for choice in ("go on", "start again"):
        assert "was not made by this trainer" in refused(client, name, if_exists=choice)
    assert path.read_bytes() == before


def test_a_lora_whose_checkpoints_are_gone_stays(comfy, client):
    name = new_name()
    graph = tiny()
    train(graph, name, steps=1)
    client.run(graph.graph)
    shutil.rmtree(Files(comfy, name).folder)
    assert "its checkpoints are gone" in refused(client, name, steps=2)


def test_models_that_cannot_be_trained(comfy, client):
    graph = tiny()
    graph.wrap("FVGUnloadable")
    assert "cannot be loaded a second time" in refused(client, new_name(), graph=graph)

    graph = tiny()
    graph.wrap(
        "LoraLoaderBypassModelOnly", lora_name="fvg_tiny_anchor_lora.safetensors",
        strength_model=1.0,
    )  # fmt: skip
    assert "LoRA in bypass mode" in refused(client, new_name(), graph=graph)

    graph = tiny()
    folder = comfy.output / "diffusion_models"
    family = checkpoints.write_image_to_video(folder, clip_vision=False)
    graph.model = [graph.add("UNETLoader", unet_name=family, weight_dtype="default"), 0]
    assert "needs no anchor LoRA" in refused(client, new_name(), graph=graph)

    graph = tiny()
    family = checkpoints.write("wan22_5b", folder)
    graph.model = [graph.add("UNETLoader", unet_name=family, weight_dtype="default"), 0]
    said = refused(client, new_name(), random(48), graph=graph, expert="high")
    assert "is a single model; set expert to 'all'" in said


def test_a_quantised_file_is_refused_before_it_is_loaded_again(comfy, client):
    graph = tiny()
    name = checkpoints.write_scaled(comfy.output / "diffusion_models")
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    loaded = lambda: comfy.log.read_text().count("Using mixed precision operations")
    before = loaded()
    assert "the MODEL's weights are quantised" in refused(client, new_name(), graph=graph)
    assert loaded() == before + 1


@pytest.mark.parametrize("said", [3, 10**8])
def test_a_model_too_large_for_the_device_names_what_can_help(client, said):
    graph = tiny()
    graph.wrap("FVGTooLarge")
    message = refused(client, new_name(), random(said=said), graph=graph)
    assert "not enough memory" in message
    assert "weight_dtype" in message
    assert ("GB are needed, and there are" in message) == (said > 3)
    assert "offload_blocks" not in message


def test_settings_out_of_range(client):
    for wrong in ({"rank": 99999}, {"steps": 0}, {"expert": "medium"}):
        graph = tiny()
        train(graph, new_name(), **wrong)
        with pytest.raises(RejectedError, match=rf"FVGLoraTrainer.*{next(iter(wrong))}"):
            client.run(graph.graph)


def test_half_a_validation(client):
    graph = tiny()
    assert "positive is connected without vae" in refused(
        client, new_name(), graph=graph, positive=graph.positive
    )
    graph = tiny()
    assert "anchor is connected without positive" in refused(
        client, new_name(), graph=graph, vae=graph.vae, anchor=graph.pictures()
    )
