"""The weights that come with the pack: small, readable, with the recipe that made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from fvg_core.tiny import world

FOLDER = Path(world.__file__).parent / "weights"
FILES = {path.stem: path for path in sorted(FOLDER.rglob("*.safetensors"))}
TRANSFORMER = "fvg_tiny_video"
IMAGE = "fvg_tiny_image"
LORA = "fvg_tiny_anchor_lora"


def read(name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(FILES[name], "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, file.metadata() or {}


def test_all_parts_are_there_in_twenty_megabytes():
    assert FILES.keys() == {TRANSFORMER, IMAGE, LORA, "fvg_tiny_vae", "fvg_tiny_text_encoder"}
    assert sum(path.stat().st_size for path in FILES.values()) <= 20e6


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
    assert {"lr", "learning_rate"} & recipe.keys()


def test_the_config_fits_the_tensors():
    tensors, metadata = read(TRANSFORMER)
    config = json.loads(metadata["config"])["transformer"]
    blocks = {key.split(".")[1] for key in tensors if key.startswith("blocks.")}
    dim = config["dim"]
    assert len(blocks) == config["num_layers"]
    assert dim % config["num_heads"] == 0
    assert tensors["patch_embedding.weight"].shape == (dim, config["in_dim"], *config["patch_size"])
    assert tensors["blocks.0.ffn.0.weight"].shape == (config["ffn_dim"], dim)
    assert tensors["text_embedding.0.weight"].shape == (dim, config["text_dim"])
    assert tensors["time_embedding.0.weight"].shape == (dim, config["freq_dim"])


@pytest.mark.parametrize("name", [TRANSFORMER, IMAGE])
def test_preview_colors_turn_latents_into_pictures(name):
    colors = json.loads(read(name)[1]["preview_colors"])
    assert torch.tensor(colors["factors"]).shape == (16, 3)
    assert torch.tensor(colors["bias"]).shape == (3,)


def test_the_text_encoder_fits_the_transformer():
    tensors, metadata = read("fvg_tiny_text_encoder")
    config = json.loads(metadata["config"])
    assert tensors["shared.weight"].shape == (config["vocab_size"], config["d_model"])
    wan = json.loads(read(TRANSFORMER)[1]["config"])["transformer"]
    assert wan["text_dim"] == config["d_model"]


def test_the_vocabulary_reads_captions():
    import sentencepiece

    tensors, _ = read("fvg_tiny_text_encoder")
    pieces = sentencepiece.SentencePieceProcessor(
        model_proto=bytes(tensors["spiece_model"].tolist())
    )
    words = " ".join([*world.COLORS, *world.SHAPES, *world.MOTIONS, *world.GROUNDS])
    assert pieces.decode(pieces.encode(words)) == words


def test_the_image_model_has_its_own_ends():
    tensors, metadata = read(IMAGE)
    video, _ = read(TRANSFORMER)
    config = json.loads(metadata["config"])["transformer"]
    ends = {key: tensor for key, tensor in tensors.items() if "lora" not in key}
    ends = {key: t for key, t in ends.items() if not key.endswith(".alpha")}
    assert ends.keys() < video.keys()
    dim, channels = config["dim"], config["out_dim"]
    assert ends["patch_embedding.weight"].shape == (dim, channels, *config["patch_size"])
    assert ends["head.head.weight"].shape == (channels, dim)


@pytest.mark.parametrize("name", [LORA, IMAGE])
def test_every_lora_key_names_a_layer_of_the_video_model(name):
    lora, _ = read(name)
    video, _ = read("fvg_tiny_video")
    modules = {key.rsplit(".lora_", 1)[0] for key in lora if ".lora_" in key}
    assert modules
    for module in modules:
        weight = video[module.removeprefix("diffusion_model.") + ".weight"]
        down, up = lora[f"{module}.lora_A.weight"], lora[f"{module}.lora_B.weight"]
        assert (up.shape[0], down.shape[1]) == tuple(weight.shape)
        assert down.shape[0] == up.shape[1]
    rest = {k for k in lora if ".lora_" not in k and k.startswith("diffusion_model.")}
    assert rest <= {f"{module}.alpha" for module in modules}  # left out, it is the rank
