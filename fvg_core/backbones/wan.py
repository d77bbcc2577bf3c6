"""Wan 2.1 and 2.2 text-to-video models."""

from .base import BackboneSpec

# Every linear layer of a block, of the embedders and of the head.
_LINEAR = (
    r"blocks\.\d+\.((self|cross)_attn\.[qkvo]|ffn\.[02])"
    r"|(text|time)_embedding\.[02]|time_projection\.1|head\.head"
)
WAN21 = BackboneSpec(
    name="Wan 2.1 T2V 1.3B / 14B, Wan 2.2 T2V A14B",
    host_class="WAN21",
    latent_channels=16,
    stride_space=8,
    stride_time=4,
    patch_space=2,
    fps=16,
    lora_targets=_LINEAR,
    expert_boundary=0.875,
    source="Wan-Video/Wan2.1 wan/configs, Wan-Video/Wan2.2 wan/configs/wan_t2v_A14B.py",
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
    source="Wan-Video/Wan2.2 wan/configs/wan_ti2v_5B.py",
)
