"""From the trainers' layout (diffusers, transformers) to the files that ComfyUI loads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..lora.names import WAN_NAMES

_VAE = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.down_blocks\.", ".downsamples."),
    (r"\.norm1\.", ".residual.0."),
    (r"(downsamples\.\d+|upsamples\.\d+|middle\.[02])\.conv1\.", r"\1.residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
)
_UP_BLOCK = re.compile(r"\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.")


def transformer_to_host(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of diffusers' WanTransformer3DModel -> keys of the published Wan checkpoints."""
    return {WAN_NAMES.to_published(k): v for k, v in state.items()}


def vae_to_host(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of diffusers' AutoencoderKLWan -> keys of the published Wan 2.1 VAE."""
    # Three residual blocks and an upsampler a stage, counted through.
    flat = lambda m: f".upsamples.{int(m[1]) * 4 + int(m[3]) + 3 * (m[2] == 'upsamplers')}."
    return {_vae_name(_UP_BLOCK.sub(flat, k)): v for k, v in state.items()}


def text_to_host(model: nn.Module, vocabulary: bytes) -> dict[str, Tensor]:
    """A UMT5 encoder with its sentencepiece model inside, as the host's Wan loader expects."""
    state = {k: v for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}
    return {**state, "spiece_model": torch.frombuffer(bytearray(vocabulary), dtype=torch.uint8)}


def text_config(config: Mapping, min_length: int) -> dict:
    """The host's UMT5 configuration, and the length to which it pads prompts."""
    return {
        **config,
        "model_type": "umt5",
        "dense_act_fn": "gelu_pytorch_tanh",
        "is_gated_act": True,
        "min_length": min_length,
    }


def wan_config(config: Mapping) -> dict:
    """The host's constructor arguments for a transformer of this diffusers configuration."""
    heads = config["num_attention_heads"]
    return {
        "model_type": "t2v",
        "patch_size": list(config["patch_size"]),
        "in_dim": config["in_channels"],
        "out_dim": config["out_channels"],
        "dim": heads * config["attention_head_dim"],
        "num_heads": heads,
        "ffn_dim": config["ffn_dim"],
        "freq_dim": config["freq_dim"],
        "text_dim": config["text_dim"],
        "num_layers": config["num_layers"],
    }


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write fp16 safetensors whole or not at all; metadata values become JSON text."""
    from safetensors.torch import save_file

    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(
        {k: v.contiguous() for k, v in half.items()},
        part,
        metadata={k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()},
    )
    part.chmod(0o644)
    os.replace(part, path)


def _vae_name(key: str) -> str:
    for pattern, replacement in _VAE:
        key = re.sub(pattern, replacement, key)
    return key
