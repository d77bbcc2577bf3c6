"""A workflow in the editor's format, laid out by hand: nodes, links, notes and groups.

What a node has (inputs, widgets, outputs) comes from the server's `/object_info`, so that a
template says only what differs from a node's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fvg_core.bench.widgets import widget_layout, widget_specs
from fvg_core.errors import HostError

Json = dict[str, Any]

TITLE_PX = 30  # of a node's title bar, which lies above its position
OPTIONAL = 7  # the slot shape that the editor draws for an input that may stay open
LIST = 6  # and for an output that is a list
_EMPTY_ID = "00000000-0000-0000-0000-000000000000"
NOTE_COLORS = {"color": "#432", "bgcolor": "#653"}


@dataclass(frozen=True)
class Box:
    """Pixels on the canvas; `y` is below the title bar."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Output:
    """One output of a node on the sheet."""

    node: int
    index: int
    type: str


class Sheet:
    """Collects nodes in the order in which they may run."""

    def __init__(self, info: Mapping[str, Json]) -> None:
        self.info = info
        self.nodes: list[Json] = []
        self.links: list[list[Any]] = []
        self.groups: list[Json] = []

    def node(
        self,
        kind: str,
        box: Box,
        given: Mapping[str, Output] | None = None,
        *,
        title: str | None = None,
        colors: Mapping[str, str] | None = None,
        models: Sequence[Json] = (),
        **widgets: Any,
    ) -> dict[str, Output]:
        """Add a node; its outputs by name. `given` are its linked inputs, `models` the files that
        the editor offers to fetch where they are missing."""
        about = self.info.get(kind)
        if about is None:
            raise HostError(f"This ComfyUI has no node {kind!r}; is the pack loaded?")
        number = len(self.nodes) + 1
        values = _values(about, widgets, kind)
        data: Json = {
            "id": number,
            "type": kind,
            "pos": [box.x, box.y],
            "size": [box.width, box.height],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": _inputs(about, dict(values)),
            "outputs": _outputs(about),
            **({"title": title} if title else {}),
            "properties": {
                "Node name for S&R": kind,
                **({"models": list(models)} if models else {}),
            },
            **({"widgets_values": [value for _, value in values]} if values else {}),
            **(colors or {}),
        }
        self.nodes.append(data)
        for name, output in (given or {}).items():
            self._link(output, data, name)
        return {
            name: Output(number, index, type_)
            for index, (name, type_) in enumerate(
                zip(about["output_name"], about["output"], strict=True)
            )
        }

    def note(self, box: Box, title: str, text: str) -> None:
        """Add a Markdown note."""
        number = len(self.nodes) + 1
        self.nodes.append(
            {
                "id": number,
                "type": "MarkdownNote",
                "pos": [box.x, box.y],
                "size": [box.width, box.height],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": [],
                "outputs": [],
                "title": title,
                "properties": {},
                "widgets_values": [text.strip()],
                **NOTE_COLORS,
            }
        )

    def group(self, title: str, box: Box, color: str) -> None:
        """Add a frame around what lies in `box`."""
        self.groups.append(
            {
                "id": len(self.groups) + 1,
                "title": title,
                "bounding": [box.x, box.y, box.width, box.height],
                "color": color,
                "flags": {},
            }
        )

    def _link(self, output: Output, target: Json, name: str) -> None:
        names = [slot["name"] for slot in target["inputs"]]
        if name not in names:
            raise HostError(f"{target['type']} has no input {name!r}; it has {', '.join(names)}.")
        slot, number = names.index(name), len(self.links) + 1
        target["inputs"][slot]["link"] = number
        self._leaves(output, number)
        self.links.append(
            [number, output.node, output.index, target["id"], slot, target["inputs"][slot]["type"]]
        )

    def _leaves(self, output: Output, link: int) -> None:
        source = self.nodes[output.node - 1]["outputs"][output.index]
        source["links"] = [*(source["links"] or ()), link]

    def workflow(self, scale: float, offset: tuple[float, float]) -> Json:
        """The file's content. `scale` and `offset` are what the canvas shows at first."""
        return {
            "id": _EMPTY_ID,
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": {"scale": scale, "offset": list(offset)}},
            "version": 0.4,
        }


def _values(about: Json, widgets: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    """(name, value) of each place in `widgets_values`; controls after seeds have the name ""."""
    stored: list[Any] = []
    while True:  # a choice of a dynamic combo brings further widgets
        layout = widget_layout(about, stored)
        if len(layout) == len(stored):
            break
        name, value = layout[len(stored)]
        if not name:
            value = _control(about, layout[len(stored) - 1][0])
        stored.append(widgets.get(name, value))
    named = {name for name, _ in layout}
    if unknown := set(widgets) - named:
        raise HostError(f"{kind} has no widget {', '.join(sorted(unknown))}.")
    return [(name, value) for (name, _), value in zip(layout, stored, strict=True)]


def _control(about: Json, seed: str) -> str:
    """What becomes of a seed after a run, as the node's author set it."""
    groups = about["input"]
    options = (groups.get("required", {}) | groups.get("optional", {}))[seed][1]
    control = options.get("control_after_generate")
    return control if isinstance(control, str) else "randomize"


def _inputs(about: Json, values: Json) -> list[Json]:
    """The slots as the editor saves them: sockets first, then one for each widget."""
    widgets = widget_specs(about, values)
    sockets, filled = [], []
    for group in ("required", "optional"):
        for name in about["input_order"].get(group, ()):
            kind, *options = about["input"][group][name]
            if (options or [{}])[0].get("socketless"):
                continue
            optional = {"shape": OPTIONAL} if group == "optional" else {}
            if name not in widgets:
                sockets.append({"name": name, **optional, "type": kind, "link": None})
            else:
                below = [other for other in widgets if other.startswith(f"{name}.")]
                filled += [
                    {
                        "name": one,
                        **optional,
                        "type": widgets[one].kind,
                        "widget": {"name": one},
                        "link": None,
                    }
                    for one in (name, *below)
                ]
    return [*sockets, *filled]


def _outputs(about: Json) -> list[Json]:
    columns = (about["output_name"], about["output"], about["output_is_list"])
    return [
        {"name": name, "type": kind, "links": None, **({"shape": LIST} if several else {})}
        for name, kind, several in zip(*columns, strict=True)
    ]
