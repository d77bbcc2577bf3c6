"""A picture of one's own in the place of the drawn candidates, in both forms of a graph."""

from __future__ import annotations

from typing import Any

from ..errors import BatchError
from .graph import consumers
from .results import Json, Prompt

REWRITER, GENERATOR, PICKER, INJECTOR = (
    "FVGFirstFramePromptRewriter",
    "FVGAnchorImageGenerator",
    "FVGAnchorPicker",
    "FVGAnchorLatentInjector",
)
DRAWING = (PICKER, "FVGAnchorScorer", GENERATOR)
NEVER = 2  # the mode of a muted node


def give_picture(
    prompt: Prompt, workflow: Json | None, injector: str, name: str
) -> tuple[Prompt, Json | None]:
    """The graph whose `injector` gets the picture `name` of the server's input folder.

    Nodes that only drew and chose candidates are taken out (muted in the workflow).
    """
    if "image" not in prompt[injector]["inputs"]:
        raise BatchError("The injector of this template takes no image, so no anchor fits.")
    loader = str(1 + max((int(n) for n in prompt if n.isdecimal()), default=0))
    if workflow is not None:
        loader = str(1 + max(int(loader) - 1, workflow.get("last_node_id", 0)))
    given = {number: {**node, "inputs": dict(node["inputs"])} for number, node in prompt.items()}
    given[loader] = {
        "class_type": "LoadImage",
        "inputs": {"image": name},
        "_meta": {"title": "Given Anchor"},
    }
    given[injector]["inputs"]["image"] = [loader, 0]
    removed = []
    while idle := [
        n for n, node in given.items() if node["class_type"] in DRAWING and not consumers(given, n)
    ]:
        for number in idle:
            del given[number]
        removed += idle
    if workflow is not None:
        _show(workflow, loader, injector, name, removed)
    return given, workflow


def _show(workflow: Json, loader: str, injector: str, name: str, removed: list[str]) -> None:
    """The same in the saved form, for a workflow whose injector is on its root canvas."""
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    target = nodes.get(injector)
    slot = next((i for i in (target or {}).get("inputs", ()) if i["name"] == "image"), None)
    if target is None or slot is None or slot.get("link") is None:
        return
    link = next(link for link in workflow["links"] if link[0] == slot["link"])
    for output in nodes[str(link[1])].get("outputs") or ():
        output["links"] = [other for other in output.get("links") or () if other != link[0]]
    link[1], link[2] = int(loader), 0
    for number in removed:
        if number in nodes:
            nodes[number]["mode"] = NEVER
    workflow["last_node_id"] = int(loader)
    workflow["nodes"].append(_loader(int(loader), target, link[0], name))


def _loader(number: int, beside: Json, link: Any, name: str) -> Json:
    x, y = list(beside.get("pos") or (0, 0))[:2] if isinstance(beside.get("pos"), list) else (0, 0)
    return {
        "id": number,
        "type": "LoadImage",
        "title": "Given Anchor",
        "pos": [x - 320, y + 340],
        "size": [280, 320],
        "flags": {},
        "order": -1,
        "mode": 0,
        "inputs": [],
        "outputs": [
            {"name": "IMAGE", "type": "IMAGE", "links": [link]},
            {"name": "MASK", "type": "MASK", "links": None},
        ],
        "properties": {"Node name for S&R": "LoadImage"},
        "widgets_values": [name, "image"],
    }
