"""Small stand-ins for the model files that the templates name, under the very same names.

Each is of its family, and the host's own loaders take it (packs/fvg_small_files says how). Wan 2.1
and its VAE and text encoder are the tiny world's; the others have random weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dev.server import ComfyServer
from dev.templates.recipes import named_files
from fvg_core.bench.client import ComfyClient
from tests.host import checkpoints

WEIGHTS = checkpoints.TINY.parent

# Folders below the server's output folder that the host also takes models from.
FOLDERS = {
    "diffusion_models": "diffusion_models",
    "text_encoders": "clip",
    "vae": "vae",
    "loras": "loras",
}

Writer = Callable[[Path], None]


def _tiny(name: str) -> Writer:
    return lambda path: shutil.copyfile(WEIGHTS / f"{name}.safetensors", path) and None


def _other_expert(path: Path) -> None:
    """The tiny video model's shape with weights of its own."""
    with safe_open(checkpoints.TINY, "pt") as file:
        metadata = file.metadata()
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: w + 0.3 * w.float().std() * torch.randn(w.shape, generator=generator).to(w)
        for key, w in load_file(checkpoints.TINY).items()
    }
    save_file(tensors, path, metadata=metadata)


def _random(family: str) -> Writer:
    """A Wan of another family: the tiny one, with random weights where its own do not fit."""

    def write(path: Path) -> None:
        made = path.parent / checkpoints.write(family, path.parent)
        with safe_open(made, "pt") as file:
            metadata = file.metadata()
        generator = torch.Generator().manual_seed(0)
        tensors = {
            key: w if w.any() else torch.randn(w.shape, generator=generator) * 0.05
            for key, w in load_file(made).items()
        }
        save_file(tensors, path, metadata=metadata)

    return write


def _umt5(path: Path) -> None:
    """The tiny text encoder, as one of the UMT5 XXL's family."""
    source = WEIGHTS / "fvg_tiny_text_encoder.safetensors"
    with safe_open(source, "pt") as file:
        network = json.loads(file.metadata()["config"])
    del network["min_length"]  # the tokenizer's; the host's own is 512
    config = {"family": "T5_XXL", "network": network}
    save_file(load_file(source), path, metadata={"config": json.dumps(config)})


def _cogvideox_lora(path: Path) -> None:
    """On one layer of the stand-in, which is 128 wide; of rank 2."""
    generator = torch.Generator().manual_seed(0)
    state = {
        f"diffusion_model.blocks.0.attn_out.{half}.weight": 0.05
        * torch.randn(shape, generator=generator)
        for half, shape in {"lora_A": (2, 128), "lora_B": (128, 2)}.items()
    }
    save_file(state, path)


def _image_to_video(seed: int) -> Writer:
    def write(path: Path) -> None:
        folder = path.parent
        made = checkpoints.write_image_to_video(folder, clip_vision=False, seed=seed)
        shutil.move(folder / made, path)

    return write


WRITERS: dict[str, Writer] = {
    "wan2.1_t2v_1.3B_fp16": _tiny("fvg_tiny_video"),
    "wan2.2_t2v_high_noise_14B_fp8_scaled": _tiny("fvg_tiny_video"),
    "wan2.2_t2v_low_noise_14B_fp8_scaled": _other_expert,
    "wan2.2_i2v_high_noise_14B_fp8_scaled": _image_to_video(10),
    "wan2.2_i2v_low_noise_14B_fp8_scaled": _image_to_video(11),
    "wan2.2_ti2v_5B_fp16": _random("wan22_5b"),
    "wan_2.1_vae": _tiny("fvg_tiny_vae"),
    "qwen_image_vae": _tiny("fvg_tiny_vae"),  # the same architecture
    "umt5_xxl_fp8_e4m3fn_scaled": _umt5,
    "fvg_wan21_1_3b": _tiny("loras/fvg_tiny_anchor_lora"),
    "fvg_wan22_14b_high": _tiny("loras/fvg_tiny_anchor_lora"),
    "fvg_wan22_14b_low": _tiny("loras/fvg_tiny_anchor_lora"),
    "fvg_cogvideox15_5b": _cogvideox_lora,
}
# Kinds of FVGWriteSmallFile.
BY_THE_HOST = {
    "wan2.2_vae": "wan2.2 vae",
    "qwen_image_fp8_e4m3fn": "qwen image",
    "qwen_2.5_vl_7b_fp8_scaled": "qwen2.5",
    "qwen_3_4b": "qwen3",
    "cogvideox1.5_5b_t2v_bf16": "cogvideox 1.5",
    "cogvideox_vae": "cogvideox vae",
    "t5xxl_fp16": "t5",
}


def write(comfy: ComfyServer, client: ComfyClient, workflows: Iterable[dict]) -> None:
    """Put stand-ins for the files of these workflows where the server finds them."""
    graph = {}
    for file in set().union(*map(named_files, workflows)):
        stem = file.name.removesuffix(".safetensors")
        place = f"{FOLDERS[file.folder]}/{file.name}"
        if stem in BY_THE_HOST:
            inputs = {"kind": BY_THE_HOST[stem], "file": place}
            graph[place] = {"class_type": "FVGWriteSmallFile", "inputs": inputs}
        else:
            path = comfy.output / place
            path.parent.mkdir(parents=True, exist_ok=True)
            WRITERS[stem](path)
    if graph:
        client.run(graph)
