"""A small template and what a server says of its nodes, for tests without a server."""

from __future__ import annotations

from typing import Any

from fvg_core.bench.template import Template

SEED = ["INT", {"default": 0, "min": 0, "max": 2**64 - 1}]
PIXELS = ["INT", {"default": 64, "min": 16, "max": 1024}]
TEXT = ["STRING", {"multiline": True}]


def node(name: str, display: str, **inputs: Any) -> dict[str, Any]:
    return {"display_name": display, "name": name, "input": {"required": inputs}}


INFO = {
    "FVGFirstFramePromptRewriter": node(
        "FVGFirstFramePromptRewriter", "First-Frame Prompt Rewriter", prompt=TEXT, seed=SEED
    ),
    "FVGAnchorImageGenerator": node(
        "FVGAnchorImageGenerator",
        "Anchor Image Generator",
        prompt=TEXT,
        width=PIXELS,
        height=PIXELS,
        seed=SEED,
    ),
    "FVGAnchorPicker": node(
        "FVGAnchorPicker",
        "Anchor Picker",
        images=["IMAGE"],
        policy=[["stop", "first", "seeded"]],
        seed=SEED,
    ),
    "CLIPTextEncode": node("CLIPTextEncode", "CLIP Text Encode", text=TEXT),
    "FVGAnchorLatentInjector": node(
        "FVGAnchorLatentInjector",
        "Anchor Latent Injector",
        image=["IMAGE"],
        width=PIXELS,
        height=PIXELS,
    ),
    "FVGAnchoredWanSampler": node(
        "FVGAnchoredWanSampler",
        "Anchored Wan Sampler",
        positive=["CONDITIONING"],
        negative=["CONDITIONING"],
        latent=["LATENT"],
        seed=SEED,
        steps=["INT", {"default": 15, "min": 1, "max": 100}],
        cfg=["FLOAT", {"default": 3.0, "min": 0.0, "max": 100.0}],
        tiled=["BOOLEAN", {"default": False}],
    ),
    "SaveVideo": node(
        "SaveVideo",
        "Save Video",
        video=["LATENT"],
        filename_prefix=["STRING", {}],
        codec=[
            "COMFY_DYNAMICCOMBO_V3",
            {
                "options": [
                    {"key": "h264", "inputs": {"required": {"quality": PIXELS}}},
                    {"key": "auto", "inputs": {"required": {}}},
                ]
            },
        ],
    ),
}


def api_prompt() -> dict[str, Any]:
    """A graph exported for the API."""
    steps = {"seed": 7, "steps": 15, "cfg": 3.0, "tiled": False}
    return {
        "5": {"class_type": "FVGFirstFramePromptRewriter", "inputs": {"prompt": "p", "seed": 0}},
        "8": {
            "class_type": "FVGAnchorImageGenerator",
            "inputs": {"prompt": ["5", 0], "width": 64, "height": 64, "seed": 7},
        },
        "9": {
            "class_type": "FVGAnchorPicker",
            "inputs": {"images": ["8", 0], "policy": "stop", "seed": 0},
        },
        "11": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": ["5", 1]},
            "_meta": {"title": "Video Prompt"},
        },
        "12": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": ""},
            "_meta": {"title": "Negative Prompt"},
        },
        "14": {
            "class_type": "FVGAnchorLatentInjector",
            "inputs": {"image": ["9", 0], "width": 64, "height": 64},
        },
        "15": {
            "class_type": "FVGAnchoredWanSampler",
            "inputs": {"positive": ["11", 0], "negative": ["12", 0], "latent": ["14", 1], **steps},
        },
        "20": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["15", 0],
                "filename_prefix": "fvg",
                "codec": "h264",
                "codec.quality": 20,
            },
        },
    }


def template(path: Any, settings: Any = (), **more: Any) -> Template:
    """The graph above, read from a file below `path`."""
    import json

    file = path / "template.json"
    file.write_text(json.dumps(api_prompt()), encoding="utf-8")
    return Template.load(file, INFO, settings, **more)
