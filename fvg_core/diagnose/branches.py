"""The template's three videos, of the same words and the same seed."""

from __future__ import annotations

from ..bench.graph import Json, Prompt, upstream
from ..errors import HostError

T2V, OWN, FVG = "t2v", "own frame", "fvg"
TITLES = {  # of the way, and of its decoder in the template
    T2V: "Plain text-to-video",
    OWN: "Anchored on its own first frame",
    FVG: "FVG: anchored on a drawn first frame",
}


def three_ways(prompt: Prompt) -> tuple[Prompt, dict[str, str]]:
    """What of the template's prompt makes the three videos; by way the node that keeps its frames
    without loss."""
    prompt, saves = dict(prompt), {way: f"frames of {way}" for way in TITLES}
    for way, node in saves.items():
        images = [_decoder(prompt, TITLES[way]), 0]
        prompt[node] = _kept(images)
    needed = set().union(*(upstream(prompt, node) for node in saves.values()))
    return {n: node for n, node in prompt.items() if n in needed}, saves


def _decoder(prompt: Prompt, title: str) -> str:
    for number, node in prompt.items():
        if node["class_type"] == "VAEDecode" and node.get("_meta", {}).get("title") == title:
            return number
    raise HostError(f"The template has no VAE Decode with the title {title!r}; restore its file.")


def _kept(images: list) -> Json:
    inputs = {
        "images": images,
        "filename_prefix": "fvg/diagnose",
        "fps": 8.0,
        "lossless": True,
        "quality": 100,
        "method": "fastest",
    }
    return {"class_type": "SaveAnimatedWEBP", "inputs": inputs, "_meta": {"title": "Frames"}}
