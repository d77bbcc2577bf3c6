"""Small checkpoints of other architectures, cut from the tiny Wan, for the host's own loaders.

The host reads a model's family from its tensors; weights that are missing it leaves as they are.
The models are refused before they run, so nothing more is needed. Sizes travel in the metadata.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "fvg_core" / "tiny" / "weights" / "fvg_tiny_video.safetensors"

# Tensors that mark a family, and the channels its patch embedding takes.
_IMAGE = {"img_emb.proj.0.bias": (1280,)}
_CAMERA = {"control_adapter.conv.weight": (8, 64, 2, 2)}
_VACE = {"vace_patch_embedding.weight": (8, 96, 1, 2, 2), "vace_blocks.0.norm3.weight": (8,)}
_MARKS: dict[str, tuple[int, dict[str, tuple[int, ...]]]] = {
    "wan21_vace": (16, _VACE),
    "wan21_camera": (32, {**_CAMERA, **_IMAGE}),
    "wan22_camera": (36, _CAMERA),
    "wan21_fun_control": (48, _IMAGE),
    "wan22_5b": (48, {}),
}
FAMILIES = (*_MARKS, "ltxv")


def write(family: str, folder: Path) -> str:
    """Write the checkpoint of a family into a folder of diffusion models; its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, config = _ltxv() if family == "ltxv" else _wan(family)
    name = f"{family}.safetensors"
    save_file(tensors, folder / name, metadata={"config": json.dumps({"transformer": config})})
    return name


def _wan(family: str) -> tuple[dict[str, torch.Tensor], dict]:
    channels, marks = _MARKS[family]
    with safe_open(TINY, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads(file.metadata()["config"])["transformer"]
    dim = config["dim"]
    tensors["patch_embedding.weight"] = torch.zeros(dim, channels, 1, 2, 2)
    if family == "wan22_5b":
        tensors["head.head.weight"] = torch.zeros(channels * 4, dim)
        tensors["head.head.bias"] = torch.zeros(channels * 4)
    tensors |= {
        key: torch.zeros(dim if key.startswith(("vace", "control")) else shape[0], *shape[1:])
        for key, shape in marks.items()
    }
    detected = ("model_type", "in_dim", "out_dim")
    sizes = {k: v for k, v in config.items() if k not in detected}
    if "control_adapter.conv.weight" in marks:
        sizes["in_dim_control_adapter"] = 1
    return tensors, sizes


def write_scaled(folder: Path) -> str:
    """The tiny video model as an fp8_scaled file: linear layers in 8 bits with a scale for each;
    its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    with safe_open(TINY, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    for key in [k for k, t in tensors.items() if k.startswith("blocks.") and t.ndim == 2]:
        tensors[key] = tensors[key].to(torch.float8_e4m3fn)
        tensors[key.removesuffix("weight") + "scale_weight"] = torch.ones(())
    tensors["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    name = "tiny_fp8_scaled.safetensors"
    save_file(tensors, folder / name, metadata)
    return name


def write_image_to_video(folder: Path, *, clip_vision: bool, seed: int = 0) -> str:
    """An image-to-video Wan with the tiny one's weights, and random ones where it has none: it
    sees its picture. Of the shape of Wan 2.1 (clip_vision) or 2.2; its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    with safe_open(TINY, "pt") as file:
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        config = json.loads(file.metadata()["config"])["transformer"]
    draw = lambda *shape: torch.randn(*shape, generator=generator) * shape[-1] ** -0.5
    dim, patch = config["dim"], tensors["patch_embedding.weight"]
    picture = draw(dim, 20, *patch.shape[2:]) * 0.2
    tensors["patch_embedding.weight"] = torch.cat([patch, picture], dim=1)
    if clip_vision:
        tensors |= _image_layers(dim, config["num_layers"], draw)
    sizes = {k: v for k, v in config.items() if k not in ("model_type", "in_dim")}
    name = f"image_to_video_{'2.1' if clip_vision else '2.2'}_{seed}.safetensors"
    save_file(tensors, folder / name, metadata={"config": json.dumps({"transformer": sizes})})
    return name


def _image_layers(dim: int, layers: int, draw) -> dict[str, torch.Tensor]:
    """What Wan 2.1 I2V has for CLIP vision's 1,280 features: an embedder, and keys and values."""
    tensors = {
        "img_emb.proj.0.weight": torch.ones(1280), "img_emb.proj.0.bias": torch.zeros(1280),
        "img_emb.proj.1.weight": draw(1280, 1280), "img_emb.proj.1.bias": torch.zeros(1280),
        "img_emb.proj.3.weight": draw(dim, 1280), "img_emb.proj.3.bias": torch.zeros(dim),
        "img_emb.proj.4.weight": torch.ones(dim), "img_emb.proj.4.bias": torch.zeros(dim),
    }  # fmt: skip
    for i in range(layers):
        block = f"blocks.{i}.cross_attn"
        for name in ("k_img", "v_img"):
            tensors[f"{block}.{name}.weight"] = draw(dim, dim)
            tensors[f"{block}.{name}.bias"] = torch.zeros(dim)
        tensors[f"{block}.norm_k_img.weight"] = torch.ones(dim)
    return tensors


def _ltxv() -> tuple[dict[str, torch.Tensor], dict]:
    tensors = {
        "adaln_single.emb.timestep_embedder.linear_1.bias": torch.zeros(64),
        "transformer_blocks.0.attn2.to_k.weight": torch.zeros(64, 64),
    }
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "cross_attention_dim": 64,
        "caption_channels": 64,
        "in_channels": 128,
    }
    return tensors, sizes
