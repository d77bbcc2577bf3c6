"""The rewriter node on the real server: lists, language models, edits, stopping, files.

The chat server here is a real one on loopback; its replies are recorded.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import chat_servers as servers
import pytest
import small_chat_clips as small
from graphs import PROMPT as GEOMETRIC
from graphs import Builder

from fvg_core.bench.client import InterruptedRunError, RunError
from tests.prompts import tiny_rewriter as tiny
from tests.prompts.replaying import GOOD, GOOD_TEXT, OTHER_TEXT, PROMPT, as_json

pytestmark = pytest.mark.host

NODE = "FVGFirstFramePromptRewriter"
FIRST, VIDEO, REPORT = 0, 1, 2
LONG_S = 60  # an interrupt that takes longer came to nothing


class Recorded:
    """An OpenAI-compatible server: gives `replies` in turn and keeps what it was asked.

    While `hangs`, it keeps those waiting for whom it has no reply.
    """

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.asked: list[dict] = []
        self.hangs = False
        self.gone = Event()
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                recorded.asked.append(json.loads(self.rfile.read(size)))
                if recorded.hangs and not recorded.replies:
                    recorded.gone.wait(LONG_S)
                    return
                status = 200 if recorded.replies else 404
                text = recorded.replies.pop(0) if recorded.replies else ""
                message = {"role": "assistant", "content": text}
                body = json.dumps({"choices": [{"message": message}]}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"


@pytest.fixture
def chat_config(comfy) -> Iterator[Callable[..., None]]:
    """Writes what the machine's owner says of the chat server; it is gone afterwards."""
    config = comfy.user / "__fvg" / "llm.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    yield lambda **settings: config.write_text(json.dumps(settings))
    config.unlink(missing_ok=True)


@pytest.fixture
def chat(chat_config) -> Iterator[Recorded]:
    """The server that the machine's owner has set up."""
    recorded = Recorded()
    Thread(target=recorded.http.serve_forever, daemon=True).start()
    chat_config(url=recorded.url, model="recorded", key="sk-secret")
    yield recorded
    recorded.gone.set()
    recorded.http.shutdown()
    recorded.http.server_close()


class Node:
    """Runs the node alone, and reads what came out and what its page was told."""

    def __init__(self, client) -> None:
        self.client = client

    def run(self, prompt: Any = PROMPT, **widgets: Any) -> tuple[list[list[str]], list[dict]]:
        graph = Builder()
        given = {"prompt": prompt, "backend": "rules", "seed": 0, **widgets}
        if isinstance(prompt, list):
            given["prompt"] = [graph.add("FVGTestTexts", texts=json.dumps(prompt)), 0]
        if "clip" in given:
            kind, inputs = given["clip"]
            given["clip"] = [graph.add(kind, **inputs), 0]
        node = graph.add(NODE, **given)
        shown = [graph.add("FVGTestShowTexts", text=[node, output]) for output in range(3)]
        outputs = self.client.run(graph.graph).outputs
        texts = [outputs[name]["texts"] if name in outputs else [] for name in shown]
        return texts, outputs[node]["fvg_rewrites"]

    def error(self, **widgets: Any) -> str:
        with pytest.raises(RunError) as raised:
            self.run(**widgets)
        assert raised.value.node_type == NODE
        return str(raised.value)


@pytest.fixture
def node(client) -> Node:
    return Node(client)


def test_the_rules_alone_as_before(node):
    texts, (shown,) = node.run(GEOMETRIC)
    told = "a red ball on the left and a blue square at the top on a gray background"
    assert texts[FIRST] == [told]
    assert texts[VIDEO] == [GEOMETRIC]
    report = json.loads(texts[REPORT][0])
    assert "Is the ball red?" in [q["question"] for q in report["checklist"]]
    assert (shown["prompt"], shown["text"]) == (GEOMETRIC, texts[FIRST][0])
    assert all(check["passed"] for check in shown["checks"])


def test_lists_in_and_lists_out(node):
    prompts = ["A cat jumps.", "A dog runs.", GEOMETRIC]
    texts, shown = node.run(prompts, variations=2)
    assert [len(each) for each in texts] == [6, 6, 6]
    assert texts[VIDEO] == [p for p in prompts for _ in range(2)]
    assert len(set(texts[FIRST])) == len(shown) == 6


def test_a_chat_server_writes_checks_and_is_asked_again(node, chat, comfy):
    chat.replies = [as_json(GOOD_TEXT.replace("two", "three")), GOOD]
    texts, (shown,) = node.run(backend="server", seed=11)
    assert texts[FIRST] == [GOOD_TEXT]
    report = json.loads(texts[REPORT][0])
    assert [bool(a["failed"]) for a in report["attempts"]] == [True, False]
    assert "counts" in chat.asked[1]["messages"][-1]["content"]
    assert "recorded" in shown["written_by"]
    kept = list((comfy.output / "fvg" / "rewrites").iterdir())
    assert kept
    everything = [texts, shown, comfy.log_tail(), *(p.read_text() for p in kept)]
    for secret in ("sk-secret", chat.url):
        assert secret not in str(everything)


def test_it_is_found_on_disk_when_the_host_forgets(node, chat):
    chat.replies = [as_json(OTHER_TEXT)]
    first, _ = node.run(backend="server", seed=12)
    node.run("A cat jumps.")  # evicts what the host had kept
    assert node.run(backend="server", seed=12)[0] == first
    assert len(chat.asked) == 1


def test_a_list_of_prompts_by_a_chat_server_with_a_video_prompt(node, chat):
    moves = "The two dogs run to the right and jump over the log."
    chat.replies = [GOOD, moves, GOOD, moves]
    texts, _ = node.run([PROMPT, PROMPT + " "], backend="server", video_prompt="motion only")
    assert texts[FIRST] == [GOOD_TEXT] * 2
    assert texts[VIDEO] == [moves] * 2


def test_a_list_is_interrupted_in_the_middle_and_goes_on_from_there(node, chat):
    prompts = [PROMPT, PROMPT + "  "]
    chat.replies, chat.hangs = [GOOD], True
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(node.run, prompts, backend="server", seed=15)
        while len(chat.asked) < 2:
            assert not run.done(), run.result()
            time.sleep(0.05)
        node.client.interrupt()
        with pytest.raises(InterruptedRunError):
            run.result(timeout=LONG_S)
    chat.replies = [GOOD]
    texts, _ = node.run(prompts, backend="server", seed=15)
    assert texts[FIRST] == [GOOD_TEXT] * 2
    assert len(chat.asked) == 3  # the first was not asked for again


def test_no_server_is_an_error_or_the_rules(node, chat):
    said = node.error(backend="server", seed=13)
    assert chat.url not in said
    assert "404" in said
    texts, (shown,) = node.run(backend="server", seed=13, rules_as_fallback=True)
    assert texts[FIRST][0].startswith("Two brown dogs standing")
    assert "the rules stood in" in shown["note"]


def test_a_server_that_comes_later_is_asked_and_another_model_too(node, chat, comfy):
    asked = {"prompt": "Two dogs run.", "backend": "server", "seed": 14, "rules_as_fallback": True}
    asked |= {"min_words": 3}
    assert node.run(**asked)[1][0]["written_by"] == "rules"
    text = "A wide shot of two dogs standing side by side in a field."
    dogs = {"noun": "dogs", "count": 2, "attributes": [], "position": None}
    chat.replies = [as_json(text, [dogs])]
    assert node.run(**asked)[1][0]["text"] == text  # nothing in the graph has changed
    assert node.run(**asked)[1][0]["text"] == text
    config = comfy.user / "__fvg" / "llm.json"
    config.write_text(config.read_text().replace("recorded", "another"))
    chat.replies = [as_json(text.replace("wide", "high"), [dogs])]
    texts, (shown,) = node.run(**asked)
    assert shown["text"] == text.replace("wide", "high")
    assert json.loads(texts[REPORT][0])["model"] == "server: another"
    assert not chat.replies


@pytest.mark.parametrize("pictures", ["straight", "kept by the generator"])
def test_a_choice_counts_for_the_pictures_of_its_own_text(client, chat, pictures):
    """The rules stood in when it was chosen, and the model answers now."""
    graph = Builder()
    given = {"prompt": "Two dogs run.", "backend": "server", "rules_as_fallback": True}
    given |= {"min_words": 3, "seed": 16 + len(pictures)}
    images = [graph.add("FVGPainted", text=[graph.add(NODE, **given), FIRST]), 0]
    if pictures != "straight":
        size = {"width": 64, "height": 64, "candidates": 1, "seed": 0, "steps": 1}
        drawing = {"prompt": "", "negative": "", "cfg": 1.0, "sampler_name": "euler"}
        drawing |= {"scheduler": "simple", "pictures": images}
        images = [graph.add("FVGAnchorImageGenerator", **size, **drawing), 0]
    picker = graph.add("FVGAnchorPicker", images=images, policy="stop", index=0, seed=0)

    def run(choice: str) -> tuple[dict, bytes]:
        graph.graph[picker]["inputs"]["choice"] = choice
        result = client.run(graph.graph)
        return result.outputs[picker]["fvg_picker"][0], client.fetch(result.files(picker)[0])

    rules, of_rules = run("")
    dogs = {"noun": "dogs", "count": 2, "attributes": [], "position": None}
    chat.replies = [as_json("A wide shot of two dogs standing side by side in a field.", [dogs])]
    model, of_model = run(f"{rules['key']}: 0")
    assert not chat.replies
    assert model["waiting"]
    assert of_model != of_rules
    chosen, again = run(f"{rules['key']}: 0; {model['key']}: 0")
    assert (chosen["chosen"], again) == ([0], of_model)


def test_a_video_prompt_that_failed_is_asked_for_again(node, chat):
    moves = "The two dogs run to the right and jump over the log."
    asked = {"backend": "server", "seed": 18, "video_prompt": "motion only"}
    asked["rules_as_fallback"] = True
    chat.replies = [GOOD]
    texts, (shown,) = node.run(**asked)
    assert texts[VIDEO] == [PROMPT]
    assert "the video prompt is the original" in shown["note"]
    chat.replies = [GOOD, moves]
    assert node.run(**asked)[0][VIDEO] == [moves]


def test_a_video_prompt_that_stays_as_it_is_runs_nothing_again(client, chat):
    chat.replies = [GOOD, PROMPT]
    graph = Builder()
    given = {"prompt": PROMPT, "backend": "server", "seed": 19, "video_prompt": "motion only"}
    rewriter = graph.add(NODE, **given)
    graph.add("PreviewAny", source=[rewriter, VIDEO])
    assert rewriter not in client.run(graph.graph).cached
    assert not chat.replies
    assert rewriter in client.run(graph.graph).cached


@pytest.mark.parametrize(
    ("widgets", "words"),
    [
        ({"backend": "clip"}, "no CLIP is connected"),
        ({"backend": "transformers"}, "models/LLM"),
        ({"backend": "server"}, "llm.json"),
        ({"video_prompt": "upsampled"}, "language model"),
        ({"edited": "not json"}, "'edited' holds 8 characters"),
        ({"min_words": 90, "max_words": 30}, "90 to 30 words"),
        ({"prompt": " \n "}, "The prompt is empty"),
        ({"prompt": "then"}, "names nothing"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(node, widgets, words):
    assert words in node.error(**widgets)


@pytest.fixture
def own_instruction(comfy) -> Iterator[None]:
    """The tiny model was taught with a short instruction."""
    file = comfy.user / "__fvg" / "prompts" / "first_frame.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(tiny.INSTRUCTION)
    yield
    file.unlink()


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "Tiny-Served")


@pytest.fixture
def tiny_folder(comfy, tiny_model) -> Iterator[str]:
    """The name of a model in models/LLM, which is gone afterwards."""
    folder = shutil.copytree(tiny_model, comfy.base / "LLM" / "Tiny-Rewriter")
    yield folder.name
    shutil.rmtree(folder)


def test_a_model_of_a_folder_writes_for_a_list(node, comfy, own_instruction, tiny_folder):
    asked = {
        "backend": "transformers",
        "language_model": tiny_folder,
        "precision": "fp32",
        **tiny.BOUNDS,
    }
    texts, shown = node.run([tiny.PROMPT, tiny.PROMPT], **asked)
    assert texts[FIRST] == [tiny.TEXT] * 2
    assert shown[0]["written_by"] == "transformers: Tiny-Rewriter"
    assert str(comfy.base) not in str([texts, shown])


@pytest.mark.skipif(not servers.can_serve(), reason="fastapi, uvicorn or openai is missing")
def test_transformers_serve_writes(node, comfy, own_instruction, chat_config, tiny_model, tmp_path):
    """A chat server of another make, with a real model behind it: asked by the node, and told the
    model's name only by the owner's configuration."""
    asked = {"prompt": tiny.PROMPT, "backend": "server", **tiny.BOUNDS}
    with servers.transformers_serve(tiny_model, tmp_path / "serve.log") as url:
        chat_config(url=url, model="another")
        assert "status 400" in node.error(**asked, seed=21)
        chat_config(url=url, model=tiny_model.name)
        texts, (shown,) = node.run(**asked, seed=22)
    assert texts[FIRST] == [tiny.TEXT]
    assert shown["written_by"] == "server: Tiny-Served"
    assert all(check["passed"] for check in shown["checks"])
    kept = [path.read_text() for path in (comfy.output / "fvg" / "rewrites").iterdir()]
    place = url.split("/")[2]
    assert not [text for text in (str(texts), str(shown), comfy.log_tail(), *kept) if place in text]
    assert "cannot be reached" in node.error(**asked, seed=23)


def test_a_clip_that_babbles_is_replaced_by_the_rules(node, comfy, install):
    small.qwen(comfy.input / "babbling.safetensors", install.root, "qwen3")
    texts, (shown,) = node.run(
        "A cat jumps.",
        clip=("FVGSmallChatClip", {"kind": "qwen3 4b", "file": "babbling.safetensors"}),
        backend="clip",
        attempts=1,
        rules_as_fallback=True,
    )
    assert texts[FIRST] == ["A cat standing, poised before the action."]
    assert "the rules stood in" in shown["note"]
    assert shown["written_by"] == "rules"
    assert json.loads(texts[REPORT][0])["model"] == "clip: Qwen3_4B"


def test_stopping_ends_without_an_error_and_shows_the_text(node):
    texts, (shown,) = node.run("A cat jumps on a red chair.", stop_here=True)
    assert texts == [[], [], []]
    assert shown["text"].startswith("A cat")


def test_an_edit_applies_to_its_rewrite_and_to_no_other(node):
    _, (shown,) = node.run("A red ball rolls past a chair.")
    edit = json.dumps({shown["key"]: "A red ball on the floor, left of a chair."})
    texts, (edited,) = node.run("A red ball rolls past a chair.", edited=edit)
    assert texts[FIRST] == ["A red ball on the floor, left of a chair."]
    assert edited["text"] == texts[FIRST][0]
    assert edited["rewritten"] == shown["text"]
    assert json.loads(texts[REPORT][0])["written_by"] == "hand"
    texts, (other,) = node.run("A blue ball rolls past a chair.", edited=edit)
    assert other["text"] == other["rewritten"]
    assert texts[FIRST][0].startswith("A blue ball")


def test_an_edit_is_checked_like_a_reply(node):
    prompt = "Two red balls roll past a chair."
    _, (shown,) = node.run(prompt)
    edit = json.dumps({shown["key"]: "Three red balls rolling past a chair."})
    _, (edited,) = node.run(prompt, edited=edit)
    failed = {check["name"] for check in edited["checks"] if not check["passed"]}
    assert failed == {"counts", "no later state"}


def test_the_owners_style_is_read_at_once(node, comfy):
    folder = Path(comfy.user, "__fvg", "prompts")
    folder.mkdir(parents=True, exist_ok=True)
    style = folder / "style-photograph.txt"
    prompt = "A grey cat jumps."
    plain, _ = node.run(prompt, style="photograph")
    style.write_text("A photograph on old paper.")
    try:
        changed, _ = node.run(prompt, style="photograph")
    finally:
        style.unlink()
    assert "natural, sharp photograph" in plain[FIRST][0]
    assert changed[FIRST][0].endswith("A photograph on old paper.")
