"""Small edits of graphs: set a widget of a workflow, find and copy nodes of a prompt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ..errors import HostError
from .widgets import widget_layout, widget_specs

Json = dict[str, Any]
Prompt = dict[str, Json]
# Of other lists a node may take more than it shows; of these, what is not listed is not there.
MODEL_FILES = (
    ".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".onnx",
)  # fmt: skip


def set_widgets(workflow: Json, object_info: dict[str, Json], kind: str, **values: Any) -> Json:
    """A copy of an editor-format workflow with widgets of its one `kind` node set."""
    workflow = copy.deepcopy(workflow)
    nodes = [node for node in workflow["nodes"] if node["type"] == kind]
    if len(nodes) != 1:
        raise HostError(f"The workflow has {len(nodes)} nodes of type {kind}; 1 is expected.")
    if kind not in object_info:
        raise HostError(f"This ComfyUI has no node {kind}; is the pack loaded?")
    layout = widget_layout(object_info[kind], nodes[0].get("widgets_values"))
    names = [name for name, _ in layout]
    stored = [value for _, value in layout]
    for name, value in values.items():
        if name not in names:
            raise HostError(
                f"{kind} has no widget {name!r}; it has {', '.join(filter(None, names))}."
            )
        stored[names.index(name)] = value
    nodes[0]["widgets_values"] = stored
    return workflow


def find(prompt: Prompt, kind: str) -> str:
    """The id of the one node of type `kind`."""
    found = [number for number, node in prompt.items() if node["class_type"] == kind]
    if len(found) != 1:
        raise HostError(f"The prompt has {len(found)} nodes of type {kind}; 1 is expected.")
    return found[0]


def downstream(prompt: Prompt, start: str) -> list[str]:
    """`start` and every node that its outputs reach, in the order of the prompt."""
    reached = {start}
    grew = True
    while grew:
        more = {n for n in prompt if n not in reached and reached & _sources(prompt[n])}
        reached |= more
        grew = bool(more)
    return [number for number in prompt if number in reached]


def upstream(prompt: Prompt, end: str) -> set[str]:
    """`end` and every node that it needs."""
    needed, waiting = set(), [end]
    while waiting:
        number = waiting.pop()
        if number not in needed:
            needed.add(number)
            waiting += [source for source in _sources(prompt[number]) if source in prompt]
    return needed


def consumers(prompt: Prompt, number: str) -> list[str]:
    """The nodes that take an output of node `number`."""
    return [other for other, node in prompt.items() if number in _sources(node)]


def missing_files(prompt: Prompt, info: dict[str, Json]) -> Iterator[tuple[str, str, str]]:
    """(node id, widget, file) of each model file that a run needs and the server does not list."""
    outputs = [n for n, node in prompt.items() if info[node["class_type"]].get("output_node")]
    needed = {number for output in outputs for number in upstream(prompt, output)}
    for number, node in prompt.items():
        if number not in needed:
            continue
        for widget, spec in widget_specs(info[node["class_type"]], node["inputs"]).items():
            file = node["inputs"].get(widget)
            named = isinstance(file, str) and file.lower().endswith(MODEL_FILES)
            if named and spec.kind == "COMBO" and file not in spec.choices:
                yield number, widget, file


def _sources(node: Json) -> set[str]:
    links = [v for v in node["inputs"].values() if isinstance(v, list) and len(v) == 2]
    return {link[0] for link in links}


def copy_branch(prompt: Prompt, start: str, tag: str) -> Prompt:
    """Copies of `start` and all below it, named `<tag><id>`; links from outside are shared."""
    branch = downstream(prompt, start)

    def moved(value: Any) -> Any:
        inside = isinstance(value, list) and len(value) == 2 and value[0] in branch
        return [f"{tag}{value[0]}", value[1]] if inside else value

    copied = {}
    for number in branch:
        node = copy.deepcopy(prompt[number])
        node["inputs"] = {name: moved(value) for name, value in node["inputs"].items()}
        copied[f"{tag}{number}"] = node
    return copied


def with_plain_t2v(prompt: Prompt, prefix: str) -> Prompt:
    """The FVG prompt and, beside it, the same video model without anchor and anchor LoRA.

    Text, seed, steps, guidance and solver are shared; only the anchor is missing.
    """
    injector = prompt[find(prompt, "FVGAnchorLatentInjector")]["inputs"]
    sampler = find(prompt, "FVGAnchoredWanSampler")
    plain = copy_branch(prompt, sampler, "t2v:")
    size = {name: injector[name] for name in ("width", "height", "length", "batch_size")}
    plain["t2v:empty"] = {"class_type": "EmptyHunyuanLatentVideo", "inputs": size}
    plain[f"t2v:{sampler}"]["inputs"] |= {
        "model": [find(prompt, "FVGTinyWorldLoader"), 0],
        "latent": ["t2v:empty", 0],
    }
    plain[find(plain, "SaveVideo")]["inputs"]["filename_prefix"] = prefix
    return {**prompt, **plain}
