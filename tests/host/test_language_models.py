"""Language models in a real ComfyUI: as CLIPs, from models/LLM, behind a server."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chat_servers as servers
import pytest
import small_chat_clips as small
import tiny_chat_models as tiny

from fvg_core.bench.client import InterruptedRunError, RunError
from fvg_core.llm import Message
from fvg_core.llm.chat import TEMPLATES, clean

pytestmark = pytest.mark.host

KEY = "sk-very-secret-0123456789"
LONG_S = 60  # an interrupt that takes longer came to nothing


def graph(backend: str, clip: tuple[str, str] | None = None, **more) -> dict:
    """One chat. clip: kind and file of a small CLIP."""
    inputs = {
        "nonce": uuid.uuid4().hex,  # the host would answer from its cache
        "backend": backend,
        "folder": "",
        "dtype": "fp32",
        "system": tiny.SYSTEM,
        "prompt": tiny.QUESTION,
        "seed": 0,
        "temperature": 0.0,
        "max_tokens": 80,
        "times": 1,
        **more,
    }
    nodes = {"chat": {"class_type": "FVGChatProbe", "inputs": inputs}}
    if clip:
        kind, file = clip
        nodes["clip"] = {"class_type": "FVGSmallChatClip", "inputs": {"kind": kind, "file": file}}
        inputs["clip"] = ["clip", 0]
    return nodes


def ask(client, *args, **more) -> dict:
    result = client.run(graph(*args, **more))
    return json.loads(result.outputs["chat"]["text"][0])


def refused(client, *args, **more) -> str:
    with pytest.raises(RunError) as raised:
        client.run(graph(*args, **more))
    return str(raised.value)


@pytest.fixture(scope="module")
def qwen3(comfy, install) -> small.Small:
    return small.qwen(comfy.input / "qwen3.safetensors", install.root, "qwen3")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("qwen3 4b", "Qwen3_4B"), ("klein 4b", "Qwen3_4B"), ("anima 0.6b", "Qwen3_06B")],
)
def test_a_qwen3_clip_answers_as_transformers_does(client, qwen3, kind, name):
    """Also the one for FLUX.2 Klein, whose tokenizer pads every prompt to 512 tokens, and the one
    for Anima, whose tokenizer takes brackets for emphasis."""
    for prompt in (tiny.QUESTION, "a {0} (red:1.5) ((cube)) \\(x\\) at [1]"):
        said = ask(client, "clip", (kind, "qwen3.safetensors"), prompt=prompt, max_tokens=30)
        assert said["asked"] == qwen3.ask(prompt)
        assert said["texts"] == [clean(qwen3.says(prompt, 30), "")]
        assert said["name"] == f"clip: {name}"
        assert said["ticks"] > 30  # more than one for each token


def test_a_qwen3_vl_clip_answers_as_transformers_does(comfy, client, install):
    reference = small.qwen(comfy.input / "qwen3vl.safetensors", install.root, "qwen3 vl")
    said = ask(client, "clip", ("qwen3 vl", "qwen3vl.safetensors"), max_tokens=30)
    assert said["asked"] == reference.ask(tiny.QUESTION)
    assert said["texts"] == [clean(reference.says(tiny.QUESTION, 30), "")]


def test_a_gemma3_clip_answers_as_transformers_does(comfy, client):
    reference = small.gemma(comfy.input / "gemma.safetensors")
    said = ask(client, "clip", ("gemma3 4b", "gemma.safetensors"), max_tokens=30)
    assert said["asked"] == reference.ask(tiny.QUESTION)
    assert said["texts"] == [clean(reference.says(tiny.QUESTION, 30), "")]


def test_embeddings_and_control_words_are_text(client, qwen3):
    prompt = "a cube embedding:easynegative <|im_end|><|image_pad|>"
    (text,) = ask(client, "clip", ("qwen3 4b", "qwen3.safetensors"), prompt=prompt)["texts"]
    assert text


def test_a_seed_is_a_text_and_the_key_is_the_weights(comfy, client, qwen3):
    clip = ("qwen3 4b", "qwen3.safetensors")
    hot = {"temperature": 4.0, "max_tokens": 12}
    one, again, other = (ask(client, "clip", clip, seed=seed, **hot) for seed in (1, 1, 2))
    assert one["texts"] == again["texts"] != other["texts"]
    assert one["key"] == again["key"] == other["key"]
    qwen3.network.model.norm.weight.data.mul_(1.1)
    small.save(qwen3.network, comfy.input / "changed.safetensors")
    qwen3.network.model.norm.weight.data.div_(1.1)
    assert ask(client, "clip", ("qwen3 4b", "changed.safetensors"))["key"] != one["key"]


def test_a_chat_longer_than_the_model_is_refused(client, qwen3):
    said = refused(client, "clip", ("qwen3 4b", "qwen3.safetensors"), max_tokens=41_000)
    assert "holds 40960" in said


def test_an_encoder_that_does_not_chat_is_refused(client):
    nodes = graph("clip")
    nodes["world"] = {"class_type": "FVGTinyWorldLoader", "inputs": {}}
    nodes["chat"]["inputs"]["clip"] = ["world", 2]
    with pytest.raises(RunError, match="encodes text but does not chat"):
        client.run(nodes)
    assert "no CLIP is connected" in refused(client, "clip")


def test_a_qwen3_8b_needs_its_output_layer(comfy, client, install):
    untied = small.qwen(comfy.input / "untied.safetensors", install.root, "qwen3 untied")
    said = ask(client, "clip", ("qwen3 8b", "untied.safetensors"), max_tokens=30)
    assert said["texts"] == [clean(untied.says(tiny.QUESTION, 30), "")]
    small.save(untied.network, comfy.input / "headless.safetensors", without="lm_head.weight")
    said = refused(client, "clip", ("qwen3 8b", "headless.safetensors"))
    assert "lacks the output layer (lm_head)" in said


def test_qwen25_vl_has_lost_its_output_layer(comfy, client, install):
    """Why the encoder of Qwen-Image is refused: everything but its output layer is right."""
    reference = small.qwen(comfy.input / "qwen25.safetensors", install.root, "qwen2.5")
    clip = ("qwen2.5 vl", "qwen25.safetensors")
    assert "has lost its output layer" in refused(client, "clip", clip)
    nodes = graph("clip", clip)
    chat = [Message("system", tiny.SYSTEM), Message("user", tiny.QUESTION)]
    text = TEMPLATES["chatml"].write(chat)
    nodes["chat"] = {
        "class_type": "FVGHostSpeaks",
        "inputs": {"clip": ["clip", 0], "file": "qwen25.safetensors", "text": text},
    }
    said = json.loads(client.run(nodes).outputs["chat"]["text"][0])
    assert not said["can stop"]
    assert said["with head"] == reference.says(tiny.QUESTION, 40) != said["as it is"]


def test_a_folder_is_found_loaded_kept_for_a_list_and_released(comfy, client):
    tiny.save(comfy.base / "LLM" / "Qwen" / "Tiny-Instruct")
    said = ask(client, "transformers", folder="Qwen/Tiny-Instruct", times=3)
    assert said["texts"] == [tiny.ANSWER] * 3
    assert said["name"] == "transformers: Tiny-Instruct"
    assert "Qwen/Tiny-Instruct" in said["folders"]
    assert any(Path(root).parts[-2:] == ("models", "LLM") for root in said["roots"])
    assert said["during"].count("_Held") == 1
    assert "_Held" not in said["after"]
    again = ask(client, "transformers", folder="Qwen/Tiny-Instruct")
    assert (again["texts"], again["key"]) == ([tiny.ANSWER], said["key"])


@pytest.mark.parametrize("folder", ["", "..", "../input", "/etc", "Qwen/../Qwen/Tiny-Instruct"])
def test_only_listed_folders_are_opened(client, folder):
    assert "there is no language model" in refused(client, "transformers", folder=folder)


def configure(comfy, url: str, **more) -> None:
    file = comfy.user / "__fvg" / "llm.json"
    file.parent.mkdir(exist_ok=True)
    settings = {"url": url, "model": "tiny", "key": KEY, "timeout_s": 30, "retries": 1, **more}
    file.write_text(json.dumps(settings), encoding="utf-8")


def interrupt(comfy, client, nodes: dict) -> None:
    """Stop a chat that is at work, and would be for minutes; raise what the run raises."""
    sign = comfy.temp / f"{nodes['chat']['inputs']['nonce']}.working"
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(client.run, nodes)
        while not sign.exists():
            assert not run.done(), run.result()
            time.sleep(0.05)
        client.interrupt()
        run.result(timeout=LONG_S)


def test_waiting_for_a_server_can_be_interrupted(comfy, client):
    with servers.serving(servers.hangs) as url:
        configure(comfy, url, timeout_s=2 * LONG_S)
        with pytest.raises(InterruptedRunError):
            interrupt(comfy, client, graph("server"))


@pytest.mark.parametrize(
    "nodes",
    [
        graph("clip", ("qwen3 4b", "qwen3.safetensors"), prompt="?", max_tokens=30000),
        graph(
            "transformers", folder="Qwen/Tiny-Instruct", temperature=9.0, max_tokens=400, times=9999
        ),
    ],
    ids=["clip", "transformers"],
)
def test_generating_can_be_interrupted(comfy, client, qwen3, nodes):
    nodes["chat"]["inputs"]["temperature"] = 9.0  # it would not stop by itself
    with pytest.raises(InterruptedRunError):
        interrupt(comfy, client, nodes)


def test_a_server_answers_and_its_secrets_stay(comfy, client):
    folder = comfy.base / "LLM" / "Qwen" / "Tiny-Instruct"
    places = []
    with servers.serving(servers.real(folder, KEY)) as url:
        configure(comfy, url)
        places.append(url.split("/")[2])
        assert ask(client, "server", times=2)["texts"] == [tiny.ANSWER] * 2
    assert "cannot be reached" in refused(client, "server")
    for handler in (servers.status(401), servers.status(500), servers.floods, servers.cuts):
        with servers.serving(handler) as url:
            configure(comfy, url)
            places.append(url.split("/")[2])
            assert "the language model (server: tiny)" in refused(client, "server")
    configure(comfy, f"http://user:{KEY}@127.0.0.1/v1")
    assert "url must hold no user, password" in refused(client, "server")
    (comfy.user / "__fvg" / "llm.json").unlink()
    assert "no chat server is configured" in refused(client, "server")
    told = json.dumps(client.get("/history")) + comfy.log.read_text(errors="replace")
    for file in comfy.output.rglob("*"):
        told += file.read_bytes().decode(errors="replace") if file.is_file() else ""
    assert KEY not in told
    assert not [place for place in places if place in told]


def test_the_configuration_is_out_of_reach_of_the_routes(comfy):
    configure(comfy, "http://127.0.0.1:9/v1")
    for path in ("__fvg/llm.json", "..%2F__fvg%2Fllm.json", "..%2F..%2F__fvg%2Fllm.json"):
        connection = http.client.HTTPConnection("127.0.0.1", comfy.port, timeout=30)
        connection.request("GET", f"/userdata/{path}")  # as it is, without quoting
        reply = connection.getresponse()
        assert reply.status >= 400
        assert KEY.encode() not in reply.read()
        connection.close()
    (comfy.user / "__fvg" / "llm.json").unlink()
