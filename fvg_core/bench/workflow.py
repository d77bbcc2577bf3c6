"""Workflows as ComfyUI's editor saves them, turned into the prompts its server runs.

The browser does this when Run is pressed; the server cannot. Tests hold this module to the
browser's own answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import HostError
from .widgets import widget_values

Json = dict[str, Any]
Prompt = dict[str, Json]

NEVER, BYPASS = 2, 4  # node modes
SUBGRAPH_INPUT = -10  # the id that links inside a subgraph give to its input panel
NOTES = frozenset({"Note", "MarkdownNote"})
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
VIRTUAL = NOTES | {REROUTE, PRIMITIVE}


@dataclass(frozen=True)
class Value:
    """An input that a widget elsewhere fills."""

    value: Any


@dataclass(frozen=True)
class Slot:
    """An input that another node's output fills."""

    node: str
    index: int


@dataclass(frozen=True)
class Node:
    """One node on its canvas. `id` joins the ids of the subgraphs around it with colons."""

    id: str
    data: Json
    canvas: Canvas

    @property
    def type(self) -> str:
        kind: str = self.data["type"]
        return kind

    @property
    def mode(self) -> int:
        return int(self.data.get("mode", 0))

    @property
    def inputs(self) -> list[Json]:
        return self.data.get("inputs") or []


class Canvas:
    """The root graph, or one instance of a subgraph (`owner` is its node outside)."""

    def __init__(self, graph: Json, definitions: Json, owner: Node | None = None) -> None:
        self.owner, self.definitions, self.graph = owner, definitions, graph
        prefix = f"{owner.id}:" if owner else ""
        self.links = dict(_links(graph.get("links") or ()))
        nodes = sorted(graph.get("nodes") or (), key=lambda data: data.get("order", 0))
        self.nodes = {data["id"]: Node(f"{prefix}{data['id']}", data, self) for data in nodes}
        self.inside: dict[str, Canvas] = {
            node.id: Canvas(definitions[node.type], definitions, node)
            for node in self.nodes.values()
            if node.type in definitions and (owner is not None or node.mode not in (NEVER, BYPASS))
        }

    def leaves(self) -> Iterator[Node]:
        """Every node that is not a subgraph, subgraphs opened."""
        for node in self.nodes.values():
            if node.id in self.inside:
                yield from self.inside[node.id].leaves()
            elif node.type not in self.definitions:
                yield node


def _links(links: Any) -> Iterator[tuple[int, tuple[Any, int, Any, int]]]:
    """id -> (origin node, origin slot, target node, target slot), from either spelling."""
    for link in links:
        if isinstance(link, dict):
            ends = (link["origin_id"], link["origin_slot"], link["target_id"], link["target_slot"])
            yield link["id"], ends
        else:
            yield link[0], (link[1], link[2], link[3], link[4])


def load_workflow(path: Path) -> Json:
    """A workflow file in the editor's format."""
    try:
        workflow = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostError(f"{path} is not a workflow file: {error}") from error
    if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
        raise HostError(
            f"{path} is not a workflow in the editor's format (no list of nodes). "
            "In ComfyUI use Save, not Export (API)."
        )
    return workflow


def to_prompt(workflow: Json, object_info: dict[str, Json]) -> Prompt:
    """The API-format prompt of a workflow, as the browser would queue it.

    Muted and bypassed nodes, notes, reroutes, primitives and subgraphs are resolved. Random
    text (`{a|b}`) stays as it is written.
    """
    definitions = {d["id"]: d for d in (workflow.get("definitions") or {}).get("subgraphs") or ()}
    prompt: Prompt = {}
    for node in Canvas(workflow, definitions).leaves():
        if node.type in VIRTUAL or node.mode in (NEVER, BYPASS):
            continue
        info = object_info.get(node.type)
        if info is None:
            raise HostError(
                f"Node {node.id} is a {node.type!r}, which this ComfyUI does not have. "
                "Install the pack it comes from."
            )
        title = node.data.get("title") or info.get("display_name") or node.type
        prompt[node.id] = {
            "inputs": _node_inputs(node, info),
            "class_type": node.type,
            "_meta": {"title": title},
        }
    return _without_dangling(prompt)


def _node_inputs(node: Node, info: Json) -> Json:
    stored = node.data.get("widgets_values")
    inputs = {name: _boxed(value) for name, value in widget_values(info, stored).items()}
    for index, slot in enumerate(node.inputs):
        source = resolve_input(node, index)
        if isinstance(source, Value):
            inputs[slot["name"]] = _boxed(source.value)
        elif source is not None:
            inputs[slot["name"]] = [source.node, source.index]
    return inputs


def _boxed(value: Any) -> Any:
    """A list would be taken for a link, so the frontend wraps it."""
    return {"__value__": value} if isinstance(value, list) else value


def _without_dangling(prompt: Prompt) -> Prompt:
    """Drop links to nodes that do not run."""
    for node in prompt.values():
        node["inputs"] = {
            name: value
            for name, value in node["inputs"].items()
            if not (isinstance(value, list) and len(value) == 2 and value[0] not in prompt)
        }
    return prompt


def resolve_input(node: Node, index: int, kind: str | None = None) -> Slot | Value | None:
    """What fills input `index` of `node` once everything that does not run is taken out."""
    slot = node.inputs[index]
    if slot.get("link") is None:
        return None
    canvas = node.canvas
    origin, origin_slot, _, _ = canvas.links[slot["link"]]
    if origin == SUBGRAPH_INPUT and canvas.owner is not None:
        return _from_outside(canvas, origin_slot)
    return _resolve_output(canvas.nodes[origin], origin_slot, kind or slot.get("type", "*"))


def _from_outside(canvas: Canvas, panel_slot: int) -> Slot | Value | None:
    """What the subgraph's own input `panel_slot` is given: a link, or its promoted widget."""
    owner = canvas.owner
    assert owner is not None
    name = canvas.graph["inputs"][panel_slot]["name"]
    index = next((i for i, slot in enumerate(owner.inputs) if slot["name"] == name), None)
    if index is None:
        return None
    slot = owner.inputs[index]
    if slot.get("link") is not None:
        return resolve_input(owner, index)
    if not slot.get("widget"):
        return None
    position = sum(bool(other.get("widget")) for other in owner.inputs[:index])
    values = owner.data.get("widgets_values") or []
    return Value(values[position]) if position < len(values) else None


def _resolve_output(node: Node, index: int, kind: str) -> Slot | Value | None:
    if node.mode == NEVER:
        return None
    if node.mode == BYPASS:
        through = _bypass_input(node, index, kind)
        return None if through is None else resolve_input(node, through)
    if node.type == PRIMITIVE:
        values = node.data.get("widgets_values") or []
        return Value(values[0]) if values else None
    if node.type == REROUTE:
        return resolve_input(node, 0, kind)
    if node.type in NOTES:
        return None
    inside = node.canvas.inside.get(node.id)
    if inside is None:
        return Slot(node.id, index)
    for origin, origin_slot, _, target_slot in _panel_links(inside):
        if target_slot == index:
            return _resolve_output(inside.nodes[origin], origin_slot, kind)
    return None


def _panel_links(canvas: Canvas) -> list[tuple[Any, int, Any, int]]:
    """The links into the subgraph's output panel, by the ids that its definition lists."""
    outputs = canvas.graph.get("outputs") or ()
    ids = {link: i for i, output in enumerate(outputs) for link in output.get("linkIds") or ()}
    present = [(link, position) for link, position in ids.items() if link in canvas.links]
    return [(*canvas.links[link][:3], position) for link, position in present]


def _bypass_input(node: Node, index: int, kind: str) -> int | None:
    """The input that a bypassed node hands through to its output `index`."""
    types = [slot.get("type", "*") for slot in node.inputs]
    if not types:
        return None
    if kind in ("*", ""):
        return index if index < len(types) else 0
    given = node.data["outputs"][index].get("type", "*")
    fits = [_connects(t, given) and _connects(t, kind) for t in types]
    if index < len(fits) and fits[index]:
        return index
    if kind in types:
        return types.index(kind)
    return fits.index(True) if True in fits else None


def _connects(one: Any, other: Any) -> bool:
    """Whether the editor would link these slot types ("*" is any; commas list several)."""
    names = [set(str(t or "*").lower().split(",")) for t in (one, other)]
    return bool(names[0] & names[1]) or any("*" in n for n in names)
