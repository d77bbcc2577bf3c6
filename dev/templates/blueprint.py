"""The subgraph blueprint: the four steps as one node, for models loaded outside of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from .recipes import NEGATIVE
from .sheet import Box, Json, Output, Sheet

NAME = "Factorized Text to Video"
_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, NAME))
_PANEL_IN, _PANEL_OUT = -10, -20  # the ids that the editor gives to a subgraph's own slots
_ROW = 20  # pixels between slots of a panel
_SOCKETS = (
    ("model", "MODEL"),
    ("clip", "CLIP"),
    ("vae", "VAE"),
    ("image_model", "MODEL"),
    ("image_clip", "CLIP"),
    ("image_vae", "VAE"),
)
# What the node outside shows as widgets, and starts with.
_WIDGETS: tuple[tuple[str, str, object], ...] = (
    ("prompt", "STRING", "A red ball rolls from the left to the right of a wooden table."),
    ("width", "INT", 832),
    ("height", "INT", 480),
    ("length", "INT", 81),
    ("fps", "FLOAT", 16),
    ("candidates", "INT", 4),
    ("policy", "COMBO", "first"),
    ("image_steps", "INT", 50),
    ("image_cfg", "FLOAT", 4),
    ("seed", "INT", 7),
)


class Subgraph(Sheet):
    """A sheet with inputs of its own on the left and outputs on the right."""

    def __init__(self, info: Mapping[str, Json], inputs: Sequence[tuple[str, str]]) -> None:
        super().__init__(info)
        self.panel_in = [_slot(number, *slot) for number, slot in enumerate(inputs)]
        self.panel_out: list[Json] = []

    def input(self, name: str) -> Output:
        index = next(i for i, slot in enumerate(self.panel_in) if slot["name"] == name)
        return Output(_PANEL_IN, index, self.panel_in[index]["type"])

    def output(self, name: str, source: Output) -> None:
        number, index = len(self.links) + 1, len(self.panel_out)
        slot = {**_slot(index, name, source.type), "linkIds": [number]}
        self.panel_out.append(slot)
        self._leaves(source, number)
        self.links.append([number, source.node, source.index, _PANEL_OUT, index, source.type])

    def _leaves(self, output: Output, link: int) -> None:
        if output.node == _PANEL_IN:
            self.panel_in[output.index]["linkIds"].append(link)
        else:
            super()._leaves(output, link)

    def definition(self, name: str, description: str, right: float) -> Json:
        """As the editor keeps it below `definitions`; the output panel lies at x = `right`."""
        ends = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return {
            "id": _ID,
            "version": 1,
            "state": {
                "lastGroupId": 0,
                "lastNodeId": len(self.nodes),
                "lastLinkId": len(self.links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": name,
            "inputNode": {"id": _PANEL_IN, "bounding": [-220, 60, 160, 40 + _ROW * 16]},
            "outputNode": {"id": _PANEL_OUT, "bounding": [right, 60, 120, 60]},
            "inputs": self.panel_in,
            "outputs": self.panel_out,
            "widgets": [],
            "nodes": self.nodes,
            "groups": [],
            "links": [dict(zip(ends, link, strict=True)) for link in self.links],
            "extra": {},
            "category": "FVG",
            "description": description,
        }


def _slot(index: int, name: str, kind: str) -> Json:
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME}/{name}")),
        "name": name,
        "type": kind,
        "linkIds": [],
        "pos": [-80, 80 + _ROW * index],
    }


def build_blueprint(info: Mapping[str, Json]) -> Json:
    """The blueprint's file: one node, and what is in it."""
    sheet = Subgraph(info, [*_SOCKETS, *((name, kind) for name, kind, _ in _WIDGETS)])
    _fill(sheet)
    outside = {
        "id": 1,
        "type": _ID,
        "pos": [0, 0],
        "size": [400, 480],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [
            *({"name": name, "type": kind, "link": None} for name, kind in _SOCKETS),
            *(
                {"name": name, "type": kind, "widget": {"name": name}, "link": None}
                for name, kind, _ in _WIDGETS
            ),
        ],
        "outputs": [{"name": "VIDEO", "type": "VIDEO", "links": None}],
        "title": NAME,
        "properties": {"proxyWidgets": [["-1", name] for name, _, _ in _WIDGETS]},
        "widgets_values": [value for _, _, value in _WIDGETS],
    }
    description = (
        "A prompt becomes a first frame and the frame a video. Give it a video model with its "
        "anchor LoRA, and an image model, each with its CLIP and VAE. Open it to click a candidate "
        "yourself (policy: stop)."
    )
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [outside],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [sheet.definition(NAME, description, 2060)]},
        "extra": {},
    }


def _fill(sheet: Subgraph) -> None:
    """The four steps, each a column."""
    given = sheet.input
    prompts = sheet.node(
        "FVGFirstFramePromptRewriter", Box(0, 60, 400, 720), {"prompt": given("prompt")}
    )
    drawn = sheet.node(
        "FVGAnchorImageGenerator", Box(440, 60, 380, 720),
        {
            "model": given("image_model"), "clip": given("image_clip"), "vae": given("image_vae"),
            "prompt": prompts["first_frame_prompt"], "width": given("width"),
            "height": given("height"), "candidates": given("candidates"), "seed": given("seed"),
            "steps": given("image_steps"), "cfg": given("image_cfg"),
        },
    )  # fmt: skip
    chosen = sheet.node(
        "FVGAnchorPicker", Box(860, 60, 380, 720),
        {"images": drawn["images"], "policy": given("policy"), "report": prompts["report"]},
        policy="first",
    )  # fmt: skip
    texts = [
        sheet.node(
            "CLIPTextEncode", Box(1280, 60 + 200 * row, 340, 140),
            {"clip": given("clip"), **linked}, title=title, **text,
        )["CONDITIONING"]
        for row, (title, linked, text) in enumerate(
            (
                ("Video Prompt", {"text": prompts["video_prompt"]}, {}),
                ("Negative Prompt", {}, {"text": NEGATIVE}),
            )
        )
    ]  # fmt: skip
    injected = sheet.node(
        "FVGAnchorLatentInjector", Box(1280, 460, 340, 330),
        {
            "model": given("model"), "vae": given("vae"), "image": chosen["image"],
            "width": given("width"), "height": given("height"), "length": given("length"),
        },
    )  # fmt: skip
    sampled = sheet.node(
        "FVGAnchoredWanSampler", Box(1660, 60, 360, 560),
        {
            "model": injected["MODEL"], "positive": texts[0], "negative": texts[1],
            "latent": injected["LATENT"], "seed": given("seed"),
        },
    )["LATENT"]  # fmt: skip
    frames = sheet.node(
        "VAEDecode", Box(1660, 680, 360, 46), {"samples": sampled, "vae": given("vae")}
    )
    video = sheet.node(
        "CreateVideo", Box(1660, 790, 360, 106), {"images": frames["IMAGE"], "fps": given("fps")}
    )
    sheet.output("VIDEO", video["VIDEO"])
