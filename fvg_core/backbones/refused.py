"""Models of the host that cannot take an anchor: why not, and what to load instead.

By the class of the host's model object (comfy/model_base.py of ComfyUI 0.30).
"""

from __future__ import annotations

from . import MODELS

_ONE_TIMESTEP = "takes one timestep for all frames"
# Variants of Wan.
_WAN = {
    "WAN21_CausalAR": "a causal variant of Wan, which makes a video frame after frame with a "
    "sampler of its own",
    "WAN21_Vace": f"VACE, which has its own reference inputs and {_ONE_TIMESTEP}",
    "WAN21_Camera": f"Wan's camera control variant, which {_ONE_TIMESTEP}",
    "WAN21_HuMo": "HuMo, which takes its picture and its sound through nodes of its own",
    "WAN22_Animate": "Wan Animate, which takes a character and a driving video through nodes of "
    "its own",
    "WAN22_S2V": "Wan S2V, which takes its picture and its sound through nodes of its own",
    "WAN21_FlowRVS": "FlowRVS, which finds things in a given video and makes none",
    "WAN21_SCAIL": "SCAIL, which takes a character and its poses through nodes of its own",
    "WAN21_SCAIL2": "SCAIL-2, which takes a character and its poses through nodes of its own",
    "WAN22_WanDancer": "WanDancer, which takes its picture and its music through nodes of its own",
}
_VIDEO = (
    "SVD_img2vid", "SV3D_u", "SV3D_p", "GenmoMochi", "LTXV", "LTXAV", "HunyuanVideo",
    "HunyuanVideoI2V", "HunyuanVideoSkyreelsI2V", "HunyuanVideo15", "HunyuanVideo15_SR_Distilled",
    "CosmosVideo", "CosmosPredict2", "Kandinsky5", "SeedVR2", "MiniMaxH3",
)  # fmt: skip
_SOUND = ("StableAudio1", "StableAudio3", "ACEStep", "ACEStep15")
_OTHER = (
    "Stable_Zero123", "Hunyuan3Dv2", "Hunyuan3Dv2_1", "TripoSplat", "RT_DETR_v4",
    "DepthAnything3", "SAM3", "Lotus",
)  # fmt: skip
_IMAGE = (
    "BaseModel", "SD21UNCLIP", "SDXLRefiner", "SDXL", "SD_X4Upscaler", "SD15_instructpix2pix",
    "SDXL_instructpix2pix", "StableCascade_C", "StableCascade_B", "SD3", "AuraFlow", "HunyuanDiT",
    "PixArt", "Flux", "LongCatImage", "Flux2", "Lens", "Anima", "Lumina2", "ZImagePixelSpace",
    "PixelDiTT2I", "PiD", "HiDream", "HiDreamO1", "Chroma", "ChromaRadiance", "Omnigen2", "Boogu",
    "QwenImage", "MageFlow", "JoyImage", "Ideogram4", "Krea2", "HunyuanImage21",
    "HunyuanImage21Refiner", "Kandinsky5Image", "ErnieImage",
)  # fmt: skip
_GROUPS = {
    _VIDEO: "a video model of another family; no anchors are known for it",
    _SOUND: "a model for sound",
    _OTHER: "not a model for videos",
    _IMAGE: "an image model. It can draw the anchor (Anchor Image Generator), not animate it",
}
WHY = _WAN | {name: why for names, why in _GROUPS.items() for name in names}


def refusal(host_class: str) -> str:
    """What to say of a MODEL of this class, which is none of ours."""
    why = WHY.get(host_class, "a model that this pack does not know")
    return f"the MODEL is {host_class}: {why}. {load_instead()}"


def load_instead() -> str:
    return f"Load one of these as the video model: {'; '.join(spec.name for spec in MODELS)}."
