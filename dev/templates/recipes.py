"""What differs from template to template: the video model, its LoRAs, and what the notes say.

Sizes, rates and file names of a video model come from its row in `fvg_core.backbones`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fvg_core.backbones import MODELS, BackboneSpec
from fvg_core.backbones.base import ModelFile

# The image model of the paper (appendix A); file names as in ComfyUI's own template for it.
IMAGE_FILES = (
    ModelFile("diffusion_models", "qwen_image_fp8_e4m3fn.safetensors"),
    ModelFile("text_encoders", "qwen_2.5_vl_7b_fp8_scaled.safetensors"),
    ModelFile("vae", "qwen_image_vae.safetensors"),
)
# A language model that ComfyUI loads as CLIP; ComfyUI's Z-Image template names the file.
WRITER_FILE = ModelFile("text_encoders", "qwen_3_4b.safetensors")

NEGATIVE = (
    "still picture, flicker, blurred, overexposed, washed out, subtitles, watermark, "
    "low quality, compression artefacts, deformed hands, extra limbs, fused fingers"
)
_REPOSITORIES = {  # of Comfy-Org
    "qwen_image_fp8_e4m3fn": "Qwen-Image_ComfyUI",
    "qwen_2.5_vl_7b_fp8_scaled": "Qwen-Image_ComfyUI",
    "qwen_image_vae": "Qwen-Image_ComfyUI",
    "qwen_3_4b": "z_image_turbo",
    "umt5_xxl_fp8_e4m3fn_scaled": "Wan_2.1_ComfyUI_repackaged",
    "wan2.1_t2v_1.3B_fp16": "Wan_2.1_ComfyUI_repackaged",
    "wan_2.1_vae": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_ti2v_5B_fp16": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_vae": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_t2v_high_noise_14B_fp8_scaled": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_t2v_low_noise_14B_fp8_scaled": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_i2v_high_noise_14B_fp8_scaled": "Wan_2.2_ComfyUI_Repackaged",
    "wan2.2_i2v_low_noise_14B_fp8_scaled": "Wan_2.2_ComfyUI_Repackaged",
}


# Nodes that load a file, and its folder of `models`.
LOADERS = {
    "UNETLoader": "diffusion_models",
    "CLIPLoader": "text_encoders",
    "VAELoader": "vae",
    "LoraLoaderModelOnly": "loras",
}


def named_files(workflow: Mapping[str, Any]) -> set[ModelFile]:
    """All that a workflow's loaders name."""
    return {
        ModelFile(LOADERS[node["type"]], node["widgets_values"][0])
        for node in workflow["nodes"]
        if node["type"] in LOADERS
    }


def link(file: ModelFile) -> list[dict[str, str]]:
    """Where the editor may fetch a missing file, as ComfyUI's own templates say it."""
    repository = _REPOSITORIES.get(file.name.removesuffix(".safetensors"))
    if repository is None:
        return []
    place = f"Comfy-Org/{repository}/resolve/main/split_files/{file.folder}/{file.name}"
    return [{"name": file.name, "url": f"https://huggingface.co/{place}", "directory": file.folder}]


@dataclass(frozen=True)
class Lora:
    """An anchor LoRA: its name in models/loras, and the config that trains it."""

    name: str
    config: str

    @property
    def file(self) -> str:
        return f"{self.name}.safetensors"


@dataclass(frozen=True)
class Recipe:
    """One template. `loras` are as many as the model has experts, or none."""

    name: str
    model: str  # of the row in the table
    about: str  # Markdown, the first note's first lines
    prompt: str
    drawn: tuple[int, int]  # width and height of the candidates
    loras: tuple[Lora, ...] = ()
    clip_type: str = "wan"
    sampler: str = "uni_pc"
    negative: str = NEGATIVE
    language_model: bool = False  # whether one rewrites; else the rules
    last_frame: str | None = None  # the prompt of a last frame to hold as well

    @property
    def spec(self) -> BackboneSpec:
        return next(row for row in MODELS if row.name == self.model)

    def files(self, folder: str) -> list[ModelFile]:
        """The video model's own files in a folder of `models`."""
        return [file for file in self.spec.files if file.folder == folder]


_LARGE = (1664, 960)  # twice 832 x 480: Qwen-Image was made for about 1.6 megapixels

RECIPES = (
    Recipe(
        name="fvg_wan22_5b",
        model="Wan 2.2 TI2V 5B",
        about="""
The paper's best model, and the only text-to-video model that needs **no LoRA**: Wan 2.2 TI2V 5B
was trained with a clean first frame. 1280 x 704, 121 frames, 15 steps.
""",
        prompt="Two red cubes stand on a wooden table, to the left of a blue glass ball. The ball "
        "rolls slowly behind the cubes and stops at the edge of the table.",
        drawn=(1280, 704),
        language_model=True,
    ),
    Recipe(
        name="fvg_wan22_14b",
        model="Wan 2.2 T2V A14B",
        about="""
Wan 2.2's large model: **two experts**, one for the noisy first steps and one for the rest. One
picture is injected once; the sampler gives it to the second expert too. 832 x 480, 81 frames.
""",
        prompt="A brown dog and a white cat sit side by side on a green sofa. The cat stands up, "
        "climbs over the dog and lies down on its other side.",
        drawn=_LARGE,
        loras=(
            Lora("fvg_wan22_14b_high", "wan22-a14b-high"),
            Lora("fvg_wan22_14b_low", "wan22-a14b-low"),
        ),
    ),
    Recipe(
        name="fvg_wan21_1_3b",
        model="Wan 2.1 T2V 1.3B",
        about="""
The small one: Wan 2.1 T2V 1.3B, 832 x 480, 81 frames. Its weights take 3 GB, so the image model
is by far the largest here. For the **14B** choose `wan2.1_t2v_14B_fp8_scaled.safetensors` in
*Video Model* and a LoRA trained for it (config `wan21-14b.toml`); all else stays.
""",
        prompt="Three yellow ducks swim in a row on a calm pond. The last duck overtakes the other "
        "two and reaches the reeds first.",
        drawn=_LARGE,
        loras=(Lora("fvg_wan21_1_3b", "wan21-1.3b"),),
    ),
    Recipe(
        name="fvg_wan22_i2v_14b",
        model="Wan 2.2 I2V A14B",
        about="""
**Image-to-video**: Wan 2.2 I2V A14B was made to take a picture, so it needs **no LoRA** (in the
paper: Factorized I2V + Text). Nodes and wiring are the same; the injector fills the model's own
image input. Two experts, 832 x 480, 81 frames.

For **Wan 2.1 I2V 14B** put `wan2.1_i2v_480p_14B_fp16.safetensors` into *High-Noise Expert*, delete
the other loader, and connect *CLIP Vision Encode* (`clip_vision/clip_vision_h.safetensors`) to the
injector.
""",
        prompt="A small green frog sits on a lily pad beside a pink flower. It jumps onto the next "
        "pad, and the flower rocks on the water.",
        drawn=_LARGE,
    ),
    Recipe(
        name="fvg_cogvideox15_5b",
        model="CogVideoX 1.5 5B",
        about="""
**CogVideoX 1.5 5B**, another family: 1360 x 768, 81 frames. Two latent frames share a token here,
so the picture is held as a pair of them; nodes and wiring are the same. Its transformer is
published in diffusers' layout only. Fetch `THUDM/CogVideoX1.5-5B` and rename its tensors:

`python -m fvg_core convert CogVideoX1.5-5B/transformer cogvideox1.5_5b_t2v_bf16.safetensors`
""",
        prompt="A steaming cup of coffee and a slice of cake stand on a round café table by the "
        "window. A hand comes in from the right and takes the cake away.",
        drawn=(1360, 768),
        loras=(Lora("fvg_cogvideox15_5b", "cogvideox15-5b"),),
        clip_type="cogvideox",
        sampler="euler",  # its authors' DDIM
        negative="",
    ),
    Recipe(
        name="fvg_first_last",
        model="Wan 2.1 T2V 1.3B",
        about="""
**First and last frame**: two pictures, two injectors in a row, and the video runs from one to the
other. Any frame may be held in this way; the anchor LoRA was trained with anchors at every place
(Algorithm 1). Here with Wan 2.1 T2V 1.3B, 832 x 480, 81 frames.
""",
        prompt="A red paper boat floats at the left end of a stone basin. It drifts across the "
        "water until it touches the right end.",
        drawn=_LARGE,
        loras=(Lora("fvg_wan21_1_3b", "wan21-1.3b"),),
        last_frame="A red paper boat floats at the right end of a stone basin, touching its edge, "
        "calm water, the same light and the same view as before.",
    ),
)
