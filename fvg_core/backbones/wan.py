"""Wan 2.1 and 2.2: text to video, and image to video.

Settings for sampling are the authors' (Wan-Video/Wan2.1 and Wan2.2, README and wan/configs); file
names are those of ComfyUI's own templates (comfyui-workflow-templates 0.11).
"""

from dataclasses import replace

from .base import BackboneSpec, ModelFile, Sampling, Size

# Every linear layer of a block, of the embedders and of the head.
_LINEAR = (
    r"blocks\.\d+\.((self|cross)_attn\.[qkvo]|ffn\.[02])"
    r"|(text|time)_embedding\.[02]|time_projection\.1|head\.head"
)
_CLEAN_FRAME = "the clean latent at sigma 0, every frame with its own timestep (paper, section 4.2)"
_NONE_PUBLIC = "none is public: train one (python -m fvg_core train, or the node LoRA Trainer)"
# Pusa teaches the same per-frame timesteps (FVDM), not this paper's objective: derived, not run.
_PUSA = "none is public: train one; {} also knows per-frame timesteps (not run here)"
_TEXT_ENCODER = ModelFile("text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors")
_VAE21 = ModelFile("vae", "wan_2.1_vae.safetensors")


def _model(name: str) -> ModelFile:
    return ModelFile("diffusion_models", f"{name}.safetensors")


# The family: the row of a size that nobody has published, such as the tiny world's.
WAN21 = BackboneSpec(
    name="Wan 2.1 T2V of another size",
    host_class="WAN21",
    latent_channels=16,
    stride_space=8,
    stride_time=4,
    patch_space=2,
    fps=16,
    lora_targets=_LINEAR,
    expert_boundary=0.875,
    anchor_rule=_CLEAN_FRAME,
    anchor_lora=_NONE_PUBLIC,
    source="Wan-Video/Wan2.1 wan/configs and generate.py (shift and CFG), "
    "Wan-Video/Wan2.2 wan/configs/wan_t2v_A14B.py",
    sampling=Sampling(steps=50, shift=(5.0,), cfg=5.0, width=832, height=480, frames=81),
)
WAN21_1_3B = replace(
    WAN21,
    name="Wan 2.1 T2V 1.3B",
    expert_boundary=None,
    source="Wan-Video/Wan2.1 wan/configs/wan_t2v_1_3B.py; README: shift 8 to 12, CFG 6 (code: 5)",
    size=Size(dim=1536, ffn=8960, layers=30),
    sampling=Sampling(steps=50, shift=(8.0, 12.0), cfg=6.0, width=832, height=480, frames=81),
    files=(_model("wan2.1_t2v_1.3B_fp16"), _VAE21, _TEXT_ENCODER),
)
WAN21_14B = replace(
    WAN21,
    name="Wan 2.1 T2V 14B",
    expert_boundary=None,
    anchor_lora=_PUSA.format("the Pusa V1 LoRA (RaphaelLiu/PusaV1)"),
    source="Wan-Video/Wan2.1 wan/configs/wan_t2v_14B.py",
    size=Size(dim=5120, ffn=13824, layers=40),
    sampling=Sampling(steps=50, shift=(5.0,), cfg=5.0, width=832, height=480, frames=81),
    files=(_model("wan2.1_t2v_14B_fp8_scaled"), _VAE21, _TEXT_ENCODER),
)
WAN22_A14B = replace(
    WAN21_14B,  # each expert has its shape
    name="Wan 2.2 T2V A14B",
    expert_boundary=0.875,
    anchor_lora=_PUSA.format("the pair of Pusa Wan2.2 V1, one for each expert,"),
    source="Wan-Video/Wan2.2 wan/configs/wan_t2v_A14B.py",
    sampling=Sampling(
        steps=40, shift=(12.0,), cfg=4.0, cfg_low_noise=3.0, width=832, height=480, frames=81
    ),
    files=(
        _model("wan2.2_t2v_high_noise_14B_fp8_scaled"),
        _model("wan2.2_t2v_low_noise_14B_fp8_scaled"),
        _VAE21,
        _TEXT_ENCODER,
    ),
)
WAN22_5B = BackboneSpec(
    name="Wan 2.2 TI2V 5B",
    host_class="WAN22",
    latent_channels=48,
    stride_space=16,
    stride_time=4,
    patch_space=2,
    fps=24,
    lora_targets=_LINEAR,
    expert_boundary=None,
    anchor_rule=_CLEAN_FRAME,
    anchor_lora=None,  # trained with a clean first frame (paper, section 4.3)
    source="Wan-Video/Wan2.2 wan/configs/wan_ti2v_5B.py",
    size=Size(dim=3072, ffn=14336, layers=30),
    sampling=Sampling(steps=50, shift=(5.0,), cfg=5.0, width=1280, height=704, frames=121),
    files=(
        _model("wan2.2_ti2v_5B_fp16"),
        ModelFile("vae", "wan2.2_vae.safetensors"),
        _TEXT_ENCODER,
    ),
)

# Image to video: the picture enters through channels of its own, as the models were trained, and
# one timestep serves all frames. No anchor LoRA is needed (the paper's "Factorized I2V + Text").
_PICTURE = "the model's own image input: the picture encoded with gray frames, and a mask"
WAN22_I2V = replace(
    WAN21,
    name="Wan 2.2 I2V of another size",
    expert_boundary=0.900,
    anchor_rule=_PICTURE,
    anchor_lora=None,
    source="Wan-Video/Wan2.2 wan/configs/wan_i2v_A14B.py, wan/image2video.py",
    sampling=Sampling(
        steps=40, shift=(5.0,), cfg=3.5, cfg_low_noise=3.5, width=832, height=480, frames=81
    ),
    image_channels=4 + 16,
)
WAN22_I2V_A14B = replace(
    WAN22_I2V,
    name="Wan 2.2 I2V A14B",
    size=WAN21_14B.size,
    files=(
        _model("wan2.2_i2v_high_noise_14B_fp8_scaled"),
        _model("wan2.2_i2v_low_noise_14B_fp8_scaled"),
        _VAE21,
        _TEXT_ENCODER,
    ),
)
WAN21_I2V = replace(
    WAN22_I2V,
    name="Wan 2.1 I2V of another size",
    expert_boundary=None,
    lora_targets=_LINEAR + r"|blocks\.\d+\.cross_attn\.[kv]_img|img_emb\.proj\.[13]",
    source="Wan-Video/Wan2.1 wan/configs/wan_i2v_14B.py and wan/image2video.py; generate.py: 40 "
    "steps, shift 3 at 480p",
    sampling=Sampling(steps=40, shift=(3.0, 5.0), cfg=5.0, width=832, height=480, frames=81),
    clip_vision=True,
)
WAN21_I2V_14B = replace(
    WAN21_I2V,
    name="Wan 2.1 I2V 14B",
    size=WAN21_14B.size,
    files=(
        _model("wan2.1_i2v_480p_14B_fp16"),
        _VAE21,
        _TEXT_ENCODER,
        ModelFile("clip_vision", "clip_vision_h.safetensors"),
    ),
)
