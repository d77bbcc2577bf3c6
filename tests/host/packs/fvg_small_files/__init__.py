"""Lets the host's own loaders take small files, and writes such files with random weights.

The host reads some sizes of a model from its file and knows others by heart. Here they all come
from the file, in the metadata key `config` that the host itself reads for Wan and LTXV:

    diffusion models   {"transformer": {...}}, also for families where the host does not look;
    text encoders      {"family": a comfy.sd.TEModel, "network": {...}}; the host tells the family
                       by the width of a layer.

The VAEs of Wan 2.2 and CogVideoX, whose sizes no file can change, are small whenever they are
built. All else, loaders, networks, tokenizers and samplers, is the host's.
"""

import contextlib
import json
from pathlib import Path

import comfy.ldm.cogvideo.model
import comfy.ldm.cogvideo.vae
import comfy.ldm.qwen_image.model
import comfy.ldm.wan.vae2_2
import comfy.model_detection
import comfy.ops
import comfy.sd
import comfy.text_encoders.llama as llama
import comfy.text_encoders.qwen_vl as qwen_vl
import comfy.text_encoders.t5 as t5
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io
from safetensors import safe_open
from safetensors.torch import save_file

_RANDOM = {"dtype": torch.float32, "device": "cpu", "operations": comfy.ops.disable_weight_init}
_TEXT = {"num_hidden_layers": 3, "intermediate_size": 64}
QWEN_IMAGE = {"num_attention_heads": 2, "joint_attention_dim": 64}  # heads of 128, as published
# Four heads of 128 for keys and values are what the host knows the 7B by.
QWEN25 = {**_TEXT, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4}
QWEN3 = {**_TEXT, "hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
T5 = {"d_model": 64, "d_kv": 32, "d_ff": 64, "num_heads": 2, "num_layers": 2}
# Heads of 64, as published. Below 48 of them the host scales latents by 1.15 instead of 0.7.
COGVIDEOX = {"num_attention_heads": 2, "num_layers": 2, "text_embed_dim": 64, "patch_size_t": 2}
COGVIDEOX_VAE = {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1}
WAN22_VAE = {"dim": 8, "dec_dim": 8}
# What the host gives its class; it names them where it looks at a file.
_WAN22_VAE = {
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
}


def _config(path):
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("config", "{}"))


@contextlib.contextmanager
def _instead(place, name, value):
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


_whole_vae = comfy.ldm.wan.vae2_2.WanVAE
_whole_cogvideox_vae = comfy.ldm.cogvideo.vae.AutoencoderKLCogVideoX
_whole_eyes = qwen_vl.Qwen2VLVisionTransformer
_detect = comfy.model_detection.detect_unet_config
_load_clip = comfy.sd.load_clip


def _blind(**sizes):
    """Its eyes are large, and of no use here."""
    return _whole_eyes(**{**sizes, "hidden_size": 32, "num_layers": 0})


def _small_vae(**sizes):
    return _whole_vae(**{**sizes, **WAN22_VAE})


def _small_cogvideox_vae(**sizes):
    return _whole_cogvideox_vae(**{**sizes, **COGVIDEOX_VAE})


def _detect_from_file(state_dict, key_prefix, metadata=None):
    found = _detect(state_dict, key_prefix, metadata)
    if found is not None and metadata is not None and "config" in metadata:
        found.update(json.loads(metadata["config"]).get("transformer", {}))
    return found


def _load_small_clip(ckpt_paths, *args, model_options=None, **more):
    config = _config(ckpt_paths[0])
    model_options = dict(model_options or {})
    if "family" not in config:
        return _load_clip(ckpt_paths, *args, model_options=model_options, **more)
    for name in ("umt5xxl", "qwen25_7b", "qwen3_4b", "t5xxl"):
        model_options[f"{name}_model_config"] = config["network"]
    family = comfy.sd.TEModel[config["family"]]
    with (
        _instead(comfy.sd, "detect_te_model", lambda state: family),
        _instead(qwen_vl, "Qwen2VLVisionTransformer", _blind),
    ):
        return _load_clip(ckpt_paths, *args, model_options=model_options, **more)


comfy.ldm.wan.vae2_2.WanVAE = _small_vae
comfy.ldm.cogvideo.vae.AutoencoderKLCogVideoX = _small_cogvideox_vae
comfy.model_detection.detect_unet_config = _detect_from_file
comfy.sd.load_clip = _load_small_clip


def _qwen_image():
    network = comfy.ldm.qwen_image.model.QwenImageTransformer2DModel
    return network(num_layers=1, **QWEN_IMAGE, **_RANDOM), {"transformer": QWEN_IMAGE}


def _qwen25():
    with _instead(qwen_vl, "Qwen2VLVisionTransformer", _blind):
        network = llama.Qwen25_7BVLI(QWEN25, torch.float32, "cpu", _RANDOM["operations"])
    return network, {"family": "QWEN25_7B", "network": QWEN25}


def _qwen3():
    network = llama.Qwen3_4B(QWEN3, torch.float32, "cpu", _RANDOM["operations"])
    return network, {"family": "QWEN3_4B", "network": QWEN3}


def _wan22_vae():
    return _small_vae(**_WAN22_VAE), {}


def _t5():
    whole = json.loads(Path(t5.__file__).with_name("t5_config_xxl.json").read_text())
    network = t5.T5({**whole, **T5}, torch.float32, "cpu", _RANDOM["operations"])
    return network, {"family": "T5_XXL", "network": T5}


def _cogvideox():
    network = comfy.ldm.cogvideo.model.CogVideoXTransformer3DModel
    sizes = {**COGVIDEOX, "use_rotary_positional_embeddings": True, "patch_bias": False}
    return network(**sizes, **_RANDOM), {}


def _cogvideox_vae():
    return _small_cogvideox_vae(latent_channels=16), {}


KINDS = {
    "qwen image": _qwen_image,
    "qwen2.5": _qwen25,
    "qwen3": _qwen3,
    "wan2.2 vae": _wan22_vae,
    "t5": _t5,
    "cogvideox 1.5": _cogvideox,
    "cogvideox vae": _cogvideox_vae,
}


class WriteSmallFile(io.ComfyNode):
    """Writes a network of the host with random weights below the output folder."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGWriteSmallFile",
            inputs=[io.Combo.Input("kind", options=list(KINDS)), io.String.Input("file")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, kind, file):
        network, config = KINDS[kind]()
        generator = torch.Generator().manual_seed(0)
        state = {
            # Weights keep the size of what passes through; gains are one and biases zero.
            key: torch.randn(w.shape, generator=generator) * w[0].numel() ** -0.5
            if w.squeeze().ndim > 1
            else torch.zeros_like(w)
            if key.endswith("bias")
            else torch.ones_like(w)
            for key, w in network.state_dict().items()
        }
        path = Path(folder_paths.get_output_directory(), file)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, path, metadata={"config": json.dumps(config)})
        return io.NodeOutput()


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [WriteSmallFile]


async def comfy_entrypoint():
    return Extension()
