"""The paper's three rows from one list: FVG, and the same video model without anchors."""

from __future__ import annotations

from typing import Any

from ..errors import BatchError
from .given import DRAWING, INJECTOR, REWRITER
from .graph import upstream
from .results import Json, Prompt

FVG, T2V, UPSAMPLED = MODES = ("fvg", "t2v", "upsampled")
EMPTY = "EmptyHunyuanLatentVideo"  # the host fits it to the model's own channels and grid
TEXT = "PrimitiveStringMultiline"
VIDEO_PROMPT = 1  # output of the rewriter


def without_anchors(prompt: Prompt, mode: str, info: dict[str, Json]) -> Prompt:
    """The graph as plain text-to-video: text, seed, steps, guidance and solver stay.

    In place of an injector stand an empty video of its size and the model that it was given. A
    LoRA with "anchor" in its title or file name is left out. With T2V the video prompt is the
    original; with UPSAMPLED the rewriter's longer one (paper, section 6: its two baselines).
    """
    given = {number: {**node, "inputs": dict(node["inputs"])} for number, node in prompt.items()}
    passed = {n: ("model", "clip") for n, node in given.items() if _is_anchor_lora(node)}
    passed |= {n: ("model",) for n in _of(given, INJECTOR)}
    for number in _of(given, REWRITER):
        _say_video_prompt(given, number, mode)
    for node in given.values():
        node["inputs"] = {
            name: _source(prompt, passed, value) for name, value in node["inputs"].items()
        }
    for number in _of(given, INJECTOR):
        sizes = ("width", "height", "length", "batch_size")
        size = {name: given[number]["inputs"][name] for name in sizes}
        given[number] = {"class_type": EMPTY, "inputs": size, "_meta": {"title": "Empty Video"}}
    return _needed(given, mode, info)


def _of(prompt: Prompt, kind: str) -> list[str]:
    return [number for number, node in prompt.items() if node["class_type"] == kind]


def _is_anchor_lora(node: Json) -> bool:
    named = f"{node.get('_meta', {}).get('title', '')} {node['inputs'].get('lora_name', '')}"
    return "lora" in node["class_type"].lower() and "anchor" in named.lower()


def _say_video_prompt(given: Prompt, number: str, mode: str) -> None:
    """Make the rewriter `number` hand out the mode's video prompt."""
    inputs = given[number]["inputs"]
    if mode == T2V:
        value = {"value": inputs["prompt"]}
        given[number] = {"class_type": TEXT, "inputs": value, "_meta": {"title": "Prompt"}}
        for node in given.values():
            for name, link in node["inputs"].items():
                if link == [number, VIDEO_PROMPT]:
                    node["inputs"][name] = [number, 0]
        return
    if inputs.get("backend") == "rules":
        raise BatchError(
            "--mode upsampled needs a language model, and the rewriter's backend is 'rules'. For "
            'example --set "First-Frame Prompt Rewriter.backend=server"; docs/batch.md has more.'
        )
    inputs["video_prompt"] = "upsampled"


def _source(prompt: Prompt, passed: dict[str, tuple[str, ...]], value: Any) -> Any:
    """Where a link leads once injectors and anchor LoRAs only hand through what they get."""
    while isinstance(value, list) and len(value) == 2 and value[0] in passed:
        through = passed[value[0]]
        if value[1] >= len(through):  # an injector's LATENT: the empty video in its place
            return [value[0], 0]
        value = prompt[value[0]]["inputs"].get(through[value[1]])
    return value


def _needed(given: Prompt, mode: str, info: dict[str, Json]) -> Prompt:
    """What the outputs need; those that show candidates are gone with the candidates."""
    kept: set[str] = set()
    for number, node in given.items():
        if info.get(node["class_type"], {}).get("output_node"):
            needs = upstream(given, number)
            if not any(given[n]["class_type"] in DRAWING for n in needs):
                kept |= needs
    if not any(given[number]["class_type"] == EMPTY for number in kept):
        raise BatchError(
            f"--mode {mode} leaves nothing of this template: no video of it comes from an Anchor "
            "Latent Injector. Leave --mode out, or use another template."
        )
    return {number: node for number, node in given.items() if number in kept}
