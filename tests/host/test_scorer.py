"""The scorer in a real server, and the picker that takes what it likes most."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import small_chat_clips
import small_seeing_clips
from aiohttp import web
from PIL import Image

from dev.server import ComfyServer
from fvg_core.bench.client import RunError
from fvg_core.image.scoring import SYSTEM, read_checklist
from fvg_core.llm.chat import clean
from fvg_core.prompts import rewrite
from fvg_core.tiny.render import render
from fvg_core.tiny.scenes import Body, Scene
from fvg_core.tiny.words import Actor, Prompt
from tests.chat_servers import completion, serving
from tests.host.graphs import PROMPT
from tests.host.picking import Picking

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

QUESTION = "Is there a (red) ball?"


def scored(
    backend: str = "tiny world", report: str | None = None, clip: tuple[str, str] | None = None
) -> tuple[Picking, str, str]:
    """Three pictures (a red ball twice, then the whole prompt) scored; picker, scorer.

    clip: kind and file of a small CLIP.
    """
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
    if clip:
        loaded = graph.add("FVGSmallChatClip", kind=clip[0], file=clip[1])
        graph.graph[scorer]["inputs"]["clip"] = [loaded, 0]
    graph.set(images=pictures, scores=[scorer, 0], report=[rewriter, 2])
    return graph, scorer, graph.add("PreviewAny", source=[scorer, 0])


@pytest.fixture(scope="module")
def pictures(comfy):
    """In the server's input: the first frame that PROMPT asks for, and half of it."""
    red = Actor("red", "ball"), Body(0, 0.13, ((0.0, 0.28, 0.31),))
    blue = Actor("blue", "square"), Body(1, 0.13, ((0.0, 0.69, 0.69),))
    for name, objects in (("one", (red,)), ("both", (red, blue))):
        actors, bodies = zip(*objects, strict=True)
        scene = Scene(Prompt("", actors, "gray", "plain"), bodies, 0.0)
        pixels = render([scene], [0])[0, 0].numpy()
        Image.fromarray(pixels).save(comfy.input / f"scored_{name}.png")


def test_the_tiny_worlds_eye_finds_the_right_picture(client, pictures):
    graph, _, shown = scored()
    state = graph.state(client)
    assert state["chosen"] == [2]
    assert [s["score"] for s in state["scores"]] == [0.5, 0.5, 1.0]  # there is room
    assert state["checklist"][0] == "Is there a red ball?"
    assert json.loads(graph.result.outputs[shown]["text"][0])["backend"] == "tiny world"


@pytest.mark.parametrize("report", ["", "no json"])
def test_what_is_no_report_is_refused(client, pictures, report):
    graph, scorer, _ = scored(report=report)
    with pytest.raises(RunError, match="connect the output report") as raised:
        client.run(graph.graph)
    assert raised.value.node_id == scorer


def test_of_another_world_there_are_no_scores_but_a_notice(client, comfy, pictures):
    """And the rule takes the first picture, so that a template runs with any prompt."""
    graph, _, shown = scored(report='{"entities": [{"noun": "dog", "text": "a dog"}]}')
    state = graph.state(client)
    assert (state["chosen"], state["scores"]) == ([0], [])
    assert state["checklist"]  # the rewriter's own
    text = json.loads(graph.result.outputs[shown]["text"][0])
    assert "the tiny world does not know 'a dog'" in text["note"]
    assert "No scores: the tiny world does not know 'a dog'" in comfy.log_tail()


@contextmanager
def seeing_server(comfy: ComfyServer, eye: Callable) -> Iterator[None]:
    """The chat server that the machine's owner has set up: `eye` answers."""
    config = comfy.user / "__fvg" / "llm.json"
    config.parent.mkdir(exist_ok=True)
    with serving(eye) as url:
        config.write_text(json.dumps({"url": url, "model": uuid.uuid4().hex, "sees": True}))
        try:
            yield
        finally:
            config.unlink()


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

    with seeing_server(comfy, eye):
        graph, _, _ = scored("server")
        state = graph.state(client)
        assert state["chosen"] == [2]
        assert [s["score"] for s in state["scores"]] == [0, 0, 1]
        assert asked == 2 * state["checklist"]  # two of the pictures are the same
        graph, _, _ = scored("server")
        assert graph.state(client)["chosen"] == [2]
        assert len(asked) == 2 * len(state["checklist"])


def test_what_was_answered_before_a_server_failed_is_kept(client, comfy, pictures):
    asked = []

    async def eye(request: web.Request) -> web.Response:
        """Is gone for a while when it has answered for the first picture."""
        asked.append(await request.json())
        gone = len(asked) == 1 + len(read_checklist(json.dumps(rewrite(PROMPT).report)))
        return web.json_response({}, status=404) if gone else web.json_response(completion("Yes"))

    with seeing_server(comfy, eye):
        graph, _, _ = scored("server")
        with pytest.raises(RunError, match="answered with status 404"):
            client.run(graph.graph)
        graph, _, _ = scored("server")
        state = graph.state(client)
    assert [s["score"] for s in state["scores"]] == [1, 1, 1]
    assert len(asked) == 1 + 2 * len(state["checklist"])


@pytest.fixture(scope="module")
def seeing(comfy, install, pictures) -> small_seeing_clips.SmallQwen3VL:
    made = small_seeing_clips.SmallQwen3VL(install.root)
    made.save(comfy.input / "seeing.safetensors")
    return made


def answer(client, kind: str, file: str, picture: str) -> str:
    chat = {
        "nonce": uuid.uuid4().hex,
        "backend": "clip",
        "clip": ["clip", 0],
        "folder": "",
        "dtype": "fp32",
        "system": SYSTEM,
        "prompt": QUESTION,
        "seed": 0,
        "temperature": 0.0,
        "max_tokens": 12,
        "times": 1,
        "picture": picture,
    }
    graph = {
        "clip": {"class_type": "FVGSmallChatClip", "inputs": {"kind": kind, "file": file}},
        "chat": {"class_type": "FVGChatProbe", "inputs": chat},
    }
    (said,) = json.loads(client.run(graph).outputs["chat"]["text"][0])["texts"]
    return said


@pytest.fixture(scope="module", params=["qwen3 vl", "gemma3 4b vision"])
def eyes(request, comfy, seeing) -> tuple:
    """A small model with random weights, which tell all pictures apart, and its file."""
    if request.param == "qwen3 vl":
        return seeing, request.param, "seeing.safetensors"
    made = small_seeing_clips.SmallGemma3()
    made.save(comfy.input / "gemma_seeing.safetensors")
    return made, request.param, "gemma_seeing.safetensors"


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_a_clip_sees_as_transformers_does(client, comfy, eyes, size):
    model, *clip = eyes
    Image.open(comfy.input / "scored_both.png").resize(size).save(comfy.input / "seen.png")
    said = answer(client, *clip, "seen.png")
    assert said == clean(model.says(QUESTION, Image.open(comfy.input / "seen.png"), 12), "")
    assert said != clean(model.says(QUESTION, Image.new("RGB", size), 12), "")


def test_a_clip_that_sees_chooses_the_right_picture(client, comfy, seeing):
    """It knows its answers by heart: how it is asked and read is tested, not how well it looks."""
    questions = read_checklist(json.dumps(rewrite(PROMPT).report))
    one, both = (Image.open(comfy.input / f"scored_{name}.png") for name in ("one", "both"))
    lessons = [
        (q, picture, word) for q in questions for picture, word in ((one, "No"), (both, "Yes"))
    ]
    seeing.learn(lessons)
    seeing.save(comfy.input / "taught.safetensors")
    graph, _, shown = scored("clip", clip=("qwen3 vl", "taught.safetensors"))
    state = graph.state(client)
    assert state["chosen"] == [2]
    assert [s["score"] for s in state["scores"]] == [0, 0, 1]
    assert state["checklist"] == questions
    said = json.loads(graph.result.outputs[shown]["text"][0])
    assert said["backend"] == "clip: Qwen3VL"


def test_a_clip_without_eyes_is_refused(client, comfy, install):
    small_chat_clips.qwen(comfy.input / "blind.safetensors", install.root, "qwen3")
    graph, scorer, _ = scored("clip", clip=("qwen3 4b", "blind.safetensors"))
    with pytest.raises(RunError, match="does not see pictures") as raised:
        client.run(graph.graph)
    assert raised.value.node_id == scorer
    graph, _, _ = scored("clip")
    with pytest.raises(RunError, match="no CLIP is connected"):
        client.run(graph.graph)
