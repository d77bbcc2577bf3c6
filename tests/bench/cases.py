"""Small workflows in the editor's format, and the prompts the browser makes of them.

`EXPECTED` is what a person reading the graph would queue; the browser test holds the browser's
own `graphToPrompt` to the same answer.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
NEVER, BYPASS = 2, 4


def node(
    number: int,
    kind: str,
    inputs: tuple[tuple[str, str, int | None], ...] = (),
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...] = (),
    values: tuple[Any, ...] | None = None,
    mode: int = 0,
    widgets: tuple[str, ...] = (),
) -> Json:
    """A node; `inputs` are (name, type, link) and those named in `widgets` are widget inputs."""
    data: Json = {
        "id": number,
        "type": kind,
        "pos": [200 * number, 100],
        "size": [180, 100],
        "flags": {},
        "order": number,
        "mode": mode,
        "inputs": [
            {"name": name, "type": type_, "link": link}
            | ({"widget": {"name": name}} if name in widgets else {})
            for name, type_, link in inputs
        ],
        "outputs": [
            {"name": name, "type": type_, "links": list(links)} for name, type_, links in outputs
        ],
        "properties": {},
    }
    if values is not None:
        data["widgets_values"] = list(values)
    return data


def workflow(nodes: list[Json], links: list[list[Any]], **more: Any) -> Json:
    return {
        "last_node_id": 90,
        "last_link_id": 90,
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
        **more,
    }


def empty(number: int, *links: int, color: int = 7, mode: int = 0) -> Json:
    out = (("IMAGE", "IMAGE", links),)
    return node(number, "EmptyImage", (), out, (16, 24, 1, color), mode)


def preview(number: int, link: int) -> Json:
    return node(number, "PreviewImage", (("images", "IMAGE", link),))


def reroute(number: int, link: int, *links: int) -> Json:
    return node(number, "Reroute", (("", "*", link),), (("", "IMAGE", links),))


def invert(number: int, link: int, *links: int, mode: int = 0) -> Json:
    inputs = (("image", "IMAGE", link),)
    return node(number, "ImageInvert", inputs, (("IMAGE", "IMAGE", links),), None, mode)


EMPTY = {"width": 16, "height": 24, "batch_size": 1, "color": 7}


def want(kind: str, **inputs: Any) -> Json:
    return {"class_type": kind, "inputs": inputs}


SUBGRAPH_ID = "5b1d2a52-1b4e-4f5c-9a53-9d8d3a7e2c11"
OUTER_ID = "c0a9a3de-7d0c-4d06-8a4b-1f8f0d2b9e22"


def subgraph(kind: str, name: str, nodes: list[Json], links: list[Json], **panels: Any) -> Json:
    return {
        "id": kind,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 50, "lastLinkId": 50, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": name,
        "inputNode": {"id": -10, "bounding": [0, 0, 120, 60]},
        "outputNode": {"id": -20, "bounding": [900, 0, 120, 60]},
        "inputs": panels["inputs"],
        "outputs": panels["outputs"],
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": links,
        "extra": {},
    }


def link(number: int, origin: int, slot: int, target: int, to: int, kind: str) -> Json:
    return {
        "id": number,
        "origin_id": origin,
        "origin_slot": slot,
        "target_id": target,
        "target_slot": to,
        "type": kind,
    }


def panel(number: int, name: str, kind: str, *links: int) -> Json:
    identity = f"00000000-0000-4000-8000-{number:012d}"
    return {"id": identity, "name": name, "type": kind, "linkIds": list(links), "pos": [100, 20]}


def inverting_subgraph() -> Json:
    """Takes an image and a colour; hands out the inverted image and a flat one.

    The editor renumbers nodes whose ids occur twice in a file, inside subgraphs too.
    """
    flat = node(
        13,
        "EmptyImage",
        (("color", "INT", 4),),
        (("IMAGE", "IMAGE", (3,)),),
        (8, 8, 1, 5),
        widgets=("color",),
    )
    return subgraph(
        SUBGRAPH_ID,
        "Inverting",
        [invert(11, 1, 2), flat],
        [
            link(1, -10, 0, 11, 0, "IMAGE"),
            link(2, 11, 0, -20, 0, "IMAGE"),
            link(3, 13, 0, -20, 1, "IMAGE"),
            link(4, -10, 1, 13, 0, "INT"),
        ],
        inputs=[panel(1, "image", "IMAGE", 1), panel(2, "color", "INT", 4)],
        outputs=[panel(3, "IMAGE", "IMAGE", 2), panel(4, "flat", "IMAGE", 3)],
    )


def instance(number: int, kind: str, image: int, outputs: tuple[tuple[int, ...], ...]) -> Json:
    return node(
        number,
        kind,
        (("image", "IMAGE", image), ("color", "INT", None)),
        tuple((name, "IMAGE", out) for name, out in zip(("IMAGE", "flat"), outputs, strict=False)),
        (99,),
        widgets=("color",),
    )


CASES: dict[str, Json] = {
    "seed control": workflow(
        [
            node(
                1,
                "KSampler",
                (),
                (("LATENT", "LATENT", ()),),
                (42, "increment", 15, 3.5, "euler", "simple", 0.5),
            )
        ],
        [],
    ),
    "linked widget": workflow(
        [
            node(1, "PrimitiveInt", (), (("INT", "INT", (1,)),), (48, "fixed")),
            node(
                2,
                "EmptyImage",
                (("width", "INT", 1),),
                (("IMAGE", "IMAGE", (2,)),),
                (16, 24, 1, 7),
                widgets=("width",),
            ),
            preview(3, 2),
        ],
        [[1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "IMAGE"]],
    ),
    "reroutes": workflow(
        [empty(1, 1), reroute(2, 1, 2), reroute(3, 2, 3), preview(4, 3)],
        [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "*"], [3, 3, 0, 4, 0, "IMAGE"]],
    ),
    "bypassed": workflow(
        [empty(1, 1), invert(2, 1, 2, mode=BYPASS), preview(3, 2)],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    ),
    "bypassed without a matching input": workflow(
        [empty(1, 1, mode=BYPASS), preview(2, 1)], [[1, 1, 0, 2, 0, "IMAGE"]]
    ),
    "muted": workflow(
        [empty(1, 1), invert(2, 1, 2, mode=NEVER), preview(3, 2), preview(4, 3), empty(5, 3)],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 5, 0, 4, 0, "IMAGE"]],
    ),
    "notes": workflow(
        [
            node(1, "Note", values=("read me",)),
            node(2, "MarkdownNote", values=("# read me",)),
            empty(3, 1),
            preview(4, 1),
        ],
        [[1, 3, 0, 4, 0, "IMAGE"]],
    ),
    "combo that brings inputs": workflow(
        [
            empty(1, 1),
            node(
                2,
                "CreateVideo",
                (("images", "IMAGE", 1),),
                (("VIDEO", "VIDEO", (2,)),),
                (8, 8),
            ),
            node(
                3,
                "SaveVideo",
                (("video", "VIDEO", 2),),
                (),
                ("fvg", "mp4", "h264", "re-encode", 20),
            ),
        ],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "VIDEO"]],
    ),
    "subgraph": workflow(
        [
            empty(1, 1),
            instance(2, SUBGRAPH_ID, 1, ((2,), (3,))),
            preview(3, 2),
            preview(4, 3),
        ],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 2, 1, 4, 0, "IMAGE"]],
        definitions={"subgraphs": [inverting_subgraph()]},
    ),
    "subgraph in a subgraph": workflow(
        [empty(1, 1), instance(2, OUTER_ID, 1, ((2,),)), preview(3, 2)],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        definitions={
            "subgraphs": [
                subgraph(
                    OUTER_ID,
                    "Outer",
                    [instance(17, SUBGRAPH_ID, 1, ((2,), ()))],
                    [link(1, -10, 0, 17, 0, "IMAGE"), link(2, 17, 0, -20, 0, "IMAGE"),
                     link(3, -10, 1, 17, 1, "INT")],
                    inputs=[panel(1, "image", "IMAGE", 1), panel(2, "color", "INT", 3)],
                    outputs=[panel(3, "IMAGE", "IMAGE", 2)],
                ),
                inverting_subgraph(),
            ]
        },
    ),
}  # fmt: skip

EXPECTED: dict[str, Json] = {
    "seed control": {
        "1": want("KSampler", seed=42, steps=15, cfg=3.5, sampler_name="euler",
                  scheduler="simple", denoise=0.5),
    },
    "linked widget": {
        "1": want("PrimitiveInt", value=48),
        "2": want("EmptyImage", **EMPTY | {"width": ["1", 0]}),
        "3": want("PreviewImage", images=["2", 0]),
    },
    "reroutes": {
        "1": want("EmptyImage", **EMPTY),
        "4": want("PreviewImage", images=["1", 0]),
    },
    "bypassed": {
        "1": want("EmptyImage", **EMPTY),
        "3": want("PreviewImage", images=["1", 0]),
    },
    "bypassed without a matching input": {"2": want("PreviewImage")},
    "muted": {
        "1": want("EmptyImage", **EMPTY),
        "3": want("PreviewImage"),
        "4": want("PreviewImage", images=["5", 0]),
        "5": want("EmptyImage", **EMPTY),
    },
    "notes": {
        "3": want("EmptyImage", **EMPTY),
        "4": want("PreviewImage", images=["3", 0]),
    },
    "combo that brings inputs": {
        "1": want("EmptyImage", **EMPTY),
        "2": want("CreateVideo", images=["1", 0], fps=8, bit_depth=8),
        "3": want("SaveVideo", video=["2", 0], filename_prefix="fvg", format="mp4",
                  codec="h264", **{"codec.encoding": "re-encode", "codec.encoding.crf": 20}),
    },
    "subgraph": {
        "1": want("EmptyImage", **EMPTY),
        "2:11": want("ImageInvert", image=["1", 0]),
        "2:13": want("EmptyImage", width=8, height=8, batch_size=1, color=99),
        "3": want("PreviewImage", images=["2:11", 0]),
        "4": want("PreviewImage", images=["2:13", 0]),
    },
    "subgraph in a subgraph": {
        "1": want("EmptyImage", **EMPTY),
        "2:17:11": want("ImageInvert", image=["1", 0]),
        "2:17:13": want("EmptyImage", width=8, height=8, batch_size=1, color=99),
        "3": want("PreviewImage", images=["2:17:11", 0]),
    },
}  # fmt: skip


def bare(prompt: Json) -> Json:
    """A prompt without titles (the server ignores them) and without unset values."""
    return {
        number: {
            "class_type": data["class_type"],
            "inputs": {k: v for k, v in data["inputs"].items() if v is not None},
        }
        for number, data in prompt.items()
    }
