"""CogVideoX 1.5 text-to-video.

Settings for sampling are the authors' (THUDM/CogVideo README and inference/cli_demo.py).
"""

from dataclasses import replace

from ..errors import ModelMismatchError
from ..process import V_PREDICTION
from .base import BackboneSpec, ModelFile, Sampling, Size

# Every linear layer: patches and text, the timestep's embedder, modulations, attention, head.
_LINEAR = (
    r"blocks\.\d+\.([qkv]|attn_out|ff_(proj|out)|norm[12]\.linear)"
    r"|patch_embed\.(text_)?proj|time_embedding_linear_[12]|norm_out\.linear|proj_out"
)

# The family: the row of a size that nobody has published.
COGVIDEOX15 = BackboneSpec(
    name="CogVideoX 1.5 T2V of another size",
    host_class="CogVideoX",
    latent_channels=16,
    stride_space=8,
    stride_time=4,
    patch_space=2,
    patch_time=2,
    process=V_PREDICTION,
    memory_factor=2.0,
    fps=16,
    lora_targets=_LINEAR,
    expert_boundary=None,
    anchor_rule="the pair of latent frames of a token, clean at timestep 0, every pair with its "
    "own timestep and the text with the others' (paper, section 4.2); the first picture is a pair "
    "of its own",
    anchor_lora="none is public: train one (python -m fvg_core train, or the node LoRA Trainer)",
    source="THUDM/CogVideo README; diffusers scripts/convert_cogvideox_to_diffusers.py",
    sampling=Sampling(
        steps=50,
        shift=(),
        cfg=6.0,
        width=1360,
        height=768,
        frames=81,
        negative="none: the empty prompt",
    ),
)
COGVIDEOX15_5B = replace(
    COGVIDEOX15,
    name="CogVideoX 1.5 5B",
    size=Size(dim=3072, ffn=12288, layers=42),
    files=(
        # No file in ComfyUI's layout is public: `python -m fvg_core convert` makes it.
        ModelFile("diffusion_models", "cogvideox1.5_5b_t2v_bf16.safetensors"),
        ModelFile("vae", "cogvideox_vae.safetensors"),
        ModelFile("text_encoders", "t5xxl_fp16.safetensors"),
    ),
)


def check_variant(channels: int, patch_time: int | None) -> None:
    """Raise ModelMismatchError for a CogVideoX that is not a 1.5 text-to-video model."""
    if patch_time != COGVIDEOX15.patch_time:
        raise ModelMismatchError(
            "the model is a CogVideoX 1.0, whose tokens are single latent frames; only version 1.5 "
            f"can be anchored. Load {COGVIDEOX15_5B.name}, or a Wan text-to-video model."
        )
    if channels != COGVIDEOX15.latent_channels:
        raise ModelMismatchError(
            f"the model is an image-to-video or inpainting variant of CogVideoX ({channels} input "
            f"channels instead of {COGVIDEOX15.latent_channels}). Load the text-to-video model: "
            f"{COGVIDEOX15_5B.name}."
        )
