"""The weights that come with the pack: small, readable, with the recipe that made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from fvg_core.tiny import words

FOLDER = Path(words.__file__).parent / "weights"
FILES = {path.stem: path for path in sorted(FOLDER.rglob("*.safetensors"))}
VIDEO = "fvg_tiny_video"
IMAGE = "fvg_tiny_image"
LORA = "fvg_tiny_anchor_lora"


def read(name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(FILES[name], "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, file.metadata() or {}


def test_all_parts_are_there_in_32_megabytes():
    assert FILES.keys() == {VIDEO, IMAGE, LORA, "fvg_tiny_vae", "fvg_tiny_text_encoder"}
    assert sum(path.stat().st_size for path in FILES.values()) <= 32e6


def test_the_anchor_lora_stands_alone_in_the_folder_that_the_host_lists():
    assert FILES["fvg_tiny_anchor_lora"].parent.name == "loras"
    assert [*FILES["fvg_tiny_anchor_lora"].parent.iterdir()] == [FILES["fvg_tiny_anchor_lora"]]


@pytest.mark.parametrize("name", FILES)
def test_weights_are_finite_half_precision(name):
    tensors, _ = read(name)
    for key, tensor in tensors.items():
        assert tensor.dtype in (torch.float16, torch.uint8), key
        assert tensor.float().isfinite().all(), key


@pytest.mark.parametrize("name", FILES)
def test_weights_carry_their_recipe(name):
    _, metadata = read(name)
    assert metadata["format"] == "pt"
    recipe = json.loads(metadata["recipe"])
    assert recipe["steps"] > 0
    if name == LORA:
        assert {"learning_rate", "batch", "clips"} <= recipe.keys()
    else:
        assert recipe["samples"] > recipe["steps"]
        assert all(part["lr"] and part["processes"] for part in recipe["parts"])


@pytest.mark.parametrize("name", [VIDEO, IMAGE])
def test_the_config_fits_the_tensors(name):
    tensors, metadata = read(name)
    config = json.loads(metadata["config"])["transformer"]
    blocks = {key.split(".")[1] for key in tensors if key.startswith("blocks.")}
    dim = config["dim"]
    assert len(blocks) == config["num_layers"]
    assert dim % config["num_heads"] == 0
    assert tensors["patch_embedding.weight"].shape == (dim, config["in_dim"], *config["patch_size"])
    assert tensors["blocks.0.ffn.0.weight"].shape == (config["ffn_dim"], dim)
    assert tensors["text_embedding.0.weight"].shape == (dim, config["text_dim"])
    assert tensors["time_embedding.0.weight"].shape == (dim, config["freq_dim"])


@pytest.mark.parametrize("name", [VIDEO, IMAGE])
def test_preview_colors_turn_latents_into_pictures(name):
    colors = json.loads(read(name)[1]["preview_colors"])
    assert torch.tensor(colors["factors"]).shape == (16, 3)
    assert torch.tensor(colors["bias"]).shape == (3,)


@pytest.mark.parametrize("name", [VIDEO, IMAGE])
def test_the_text_encoder_fits_the_transformers(name):
    tensors, metadata = read("fvg_tiny_text_encoder")
    config = json.loads(metadata["config"])
    assert tensors["shared.weight"].shape == (config["vocab_size"], config["d_model"])
    wan = json.loads(read(name)[1]["config"])["transformer"]
    assert wan["text_dim"] == config["d_model"]


def test_the_vocabulary_has_colors_and_shapes_as_whole_words():
    import sentencepiece

    tensors, _ = read("fvg_tiny_text_encoder")
    pieces = sentencepiece.SentencePieceProcessor(
        model_proto=bytes(tensors["spiece_model"].tolist())
    )
    for word in (*words.COLORS, *words.SHAPES):
        assert pieces.encode(word, out_type=str) == [f"▁{word}"]


def test_every_lora_key_names_a_layer_of_the_video_model():
    lora, _ = read(LORA)
    video, _ = read(VIDEO)
    modules = {key.rsplit(".lora_", 1)[0] for key in lora if ".lora_" in key}
    assert modules
    for module in modules:
        weight = video[module.removeprefix("diffusion_model.") + ".weight"]
        down, up = lora[f"{module}.lora_A.weight"], lora[f"{module}.lora_B.weight"]
        assert (up.shape[0], down.shape[1]) == tuple(weight.shape)
        assert down.shape[0] == up.shape[1]
    rest = {key for key in lora if ".lora_" not in key}
    assert rest <= {f"{module}.alpha" for module in modules}  # left out, it is the rank
