"""The scorer in a real server, and the picker that takes what it likes most."""

from __future__ import annotations

import base64
import io
import json
import uuid

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from fvg_core.bench.client import RunError
from fvg_core.tiny.world import Scene, Thing, render
from tests.chat_servers import completion, serving
from tests.host.graphs import PROMPT
from tests.host.picking import Picking

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


def scored(backend: str = "tiny world", report: str | None = None) -> tuple[Picking, str, str]:
    """Three pictures (a red circle twice, then the whole prompt) scored; picker, scorer."""
    graph = Picking(policy="best score")
    pictures = None
    for name in ("scored_one.png", "scored_one.png", "scored_both.png"):
        loaded = [graph.add("LoadImage", image=name), 0]
        pictures = (
            loaded if pictures is None
            else [graph.add("ImageBatch", image1=pictures, image2=loaded), 0]
        )  # fmt: skip
    # The same pictures, and for the host's cache others each time.
    seed = uuid.uuid4().int % 2**40
    pictures = [graph.add("ImageAddNoise", image=pictures, seed=seed, strength=0.0), 0]
    rewriter = graph.add("FVGFirstFramePromptRewriter", prompt=PROMPT, backend="rules", seed=0)
    scorer = graph.add(
        "FVGAnchorScorer",
        images=pictures,
        report=[rewriter, 2] if report is None else report,
        backend=backend,
    )
    graph.set(images=pictures, scores=[scorer, 0], report=[rewriter, 2])
    return graph, scorer, graph.add("PreviewAny", source=[scorer, 0])


@pytest.fixture(scope="module")
def pictures(comfy):
    """In the server's input: the first frame that PROMPT asks for, and half of it."""
    red = Thing("red", "circle", "stays still", 18, 20, 10, 20)
    blue = Thing("blue", "square", "stays still", 44, 44, 10, 20)
    for name, things in (("one", (red,)), ("both", (red, blue))):
        pixels = render([Scene(things, "gray")], [0])[0, 0].numpy()
        Image.fromarray(pixels).save(comfy.input / f"scored_{name}.png")


def test_the_tiny_worlds_eye_finds_the_right_picture(client, pictures):
    graph, _, shown = scored()
    state = graph.state(client)
    assert state["chosen"] == [2]
    assert [s["score"] for s in state["scores"]] == [0.3333, 0.3333, 1.0]
    assert state["checklist"][0] == "Is there a red circle?"
    assert json.loads(graph.result.outputs[shown]["text"][0])["backend"] == "tiny world"


@pytest.mark.parametrize("report", ["", "no json", '{"entities": [{"noun": "dog"}]}'])
def test_a_report_that_names_nothing_known_is_refused(client, pictures, report):
    graph, scorer, _ = scored(report=report)
    with pytest.raises(RunError, match=r"connect the output report|does not know") as raised:
        client.run(graph.graph)
    assert raised.value.node_id == scorer


def test_a_server_that_sees_is_asked_once(client, comfy, pictures):
    asked = []

    async def eye(request: web.Request) -> web.Response:
        """Says yes to pictures with blue in them."""
        parts = (await request.json())["messages"][-1]["content"]
        asked.append(next(p["text"] for p in parts if p["type"] == "text"))
        (url,) = (p["image_url"]["url"] for p in parts if p["type"] == "image_url")
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        blue = np.asarray(picture.convert("HSV"))[..., 0]
        return web.json_response(
            completion("Yes" if (abs(blue - 160.0) < 9).mean() > 0.05 else "No")
        )

    config = comfy.user / "__fvg" / "llm.json"
    config.parent.mkdir(exist_ok=True)
    with serving(eye) as url:
        config.write_text(json.dumps({"url": url, "model": uuid.uuid4().hex, "sees": True}))
        try:
            graph, _, _ = scored("server")
            state = graph.state(client)
            assert state["chosen"] == [2]
            assert [s["score"] for s in state["scores"]] == [0, 0, 1]
            assert asked == 3 * state["checklist"]
            graph, _, _ = scored("server")
            assert graph.state(client)["chosen"] == [2]
            assert len(asked) == 3 * len(state["checklist"])
        finally:
            config.unlink()
