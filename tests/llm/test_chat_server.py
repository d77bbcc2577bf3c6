"""A chat server on loopback: the text, or a clear error in time, and never the key or address."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import chat_servers as servers
import pytest
import tiny_chat_models as tiny

from fvg_core.errors import LanguageModelError
from fvg_core.llm import Message, Sampling, ServerConfig, open_server

KEY = "sk-very-secret-0123456789"
CHAT = [Message("system", tiny.SYSTEM), Message("user", tiny.QUESTION)]
GREEDY = Sampling(temperature=0, max_tokens=80)


def ask(url: str, sampling: Sampling = GREEDY, tick=lambda: None, chat=CHAT, **more) -> str:
    settings = {"model": "tiny", "key": KEY, "timeout_s": 4.0, "connect_s": 1.0, **more}
    with open_server(ServerConfig(url=url, **settings)) as model:
        return model.reply(chat, sampling, tick)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


def test_a_real_model_behind_a_server_answers(folder: Path):
    with servers.serving(servers.real(folder, KEY)) as url:
        assert ask(url, timeout_s=60) == tiny.ANSWER
        hot = Sampling(seed=3, temperature=5.0, max_tokens=12)
        texts = [ask(url, replace(hot, seed=seed), timeout_s=60) for seed in (3, 3, 4)]
        assert texts[0] == texts[1] != texts[2]
        with pytest.raises(LanguageModelError, match="the key is missing or wrong"):
            ask(url, key="")
        with pytest.raises(LanguageModelError, match="no such model"):
            ask(url, model="other")


BUSY = servers.status(429, **{"Retry-After": "0"})
SLACK_S = 20.0  # of a busy machine
WRONG = {
    "401": (servers.status(401), "401: the key is missing or wrong", 1),
    "403": (servers.status(403), "403: the key may not", 1),
    "404": (servers.status(404), "404: there is no such model", 1),
    "500 for ever": (servers.status(500, **{"Retry-After": "0"}), "status 500, 3 times", 1),
    "429 for ever": (BUSY, "status 429, 3 times", 1),
    "hangs": (servers.hangs, "no answer within 4 s", 5),
    "cuts": (servers.cuts, "broke off its answer, 3 times", 4),
    "10 MB": (servers.floods, "more than 1 MB", 4),
    "invalid JSON": (servers.sends(b'{"choices": ['), "did not answer as the OpenAI", 1),
    "other JSON": (servers.sends(b'{"choices": {"0": 1}}'), "did not answer as the OpenAI", 1),
    "deep JSON": (servers.sends(b"[" * 500_000), "did not answer as the OpenAI", 1),
    "no text": (servers.says(None), "answered nothing", 1),
    "only thoughts": (servers.says("<think>well, the user wants"), "tokens on thinking", 1),
    "a redirect": (servers.status(307, Location="http://example.com/"), "redirects are not", 1),
    "long wait": (servers.status(503, **{"Retry-After": "3600"}), "no answer within 4 s", 5),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_server_is_a_clear_error_in_time(case: str, caplog):
    caplog.set_level(logging.DEBUG)
    handler, why, limit_s = WRONG[case]
    start = time.monotonic()
    with servers.serving(handler) as url:
        with pytest.raises(LanguageModelError, match=why) as raised:
            ask(url, retries=2)
        assert time.monotonic() - start < limit_s + SLACK_S
        told = "".join(traceback.format_exception(raised.value)) + str(raised.value)
        told += "\n".join(r.getMessage() for r in caplog.records if "access" not in r.name)
        assert KEY not in told
        assert url.split("/")[2] not in told


def test_nobody_there_is_a_clear_error():
    with servers.serving(servers.says("hello")) as url:
        pass
    with pytest.raises(LanguageModelError, match=r"cannot be reached.*2 times") as raised:
        ask(url, retries=1)
    assert url.split("/")[2] not in "".join(traceback.format_exception(raised.value))


def test_something_else_than_http_is_a_clear_error():
    with servers.babbling() as url:
        with pytest.raises(LanguageModelError, match="does not speak HTTP") as raised:
            ask(url)
        assert url.split("/")[2] not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("first", [BUSY, servers.status(502), servers.cuts])
def test_what_passes_is_tried_again(first):
    with servers.serving(servers.in_turn(first, servers.says("at last"))) as url:
        assert ask(url) == "at last"


def test_a_server_without_json_mode_is_asked_without():
    with servers.serving(servers.no_json_mode) as url:
        assert ask(url, replace(GREEDY, structured=True)) == "plain"


def test_waiting_can_be_stopped():
    class Stop(Exception):
        pass

    start = time.monotonic()

    def tick():
        if time.monotonic() - start > 0.5:
            raise Stop

    with servers.serving(servers.hangs) as url, pytest.raises(Stop):
        ask(url, tick=tick, timeout_s=60)
    assert time.monotonic() - start < 0.5 + SLACK_S  # and not the timeout


def test_the_request_stands_in_the_openai_form():
    from PIL import Image

    seen = {}

    async def record(request):
        seen.update(await request.json())
        return await servers.says("ok")(request)

    chat = [Message("user", "what is it?", (Image.new("RGB", (4, 4), "red"),))]
    with servers.serving(record) as url:
        with pytest.raises(LanguageModelError, match="takes no pictures"):
            ask(url, chat=chat)
        ask(url, Sampling(2**63, 9, 0.5, True), chat=chat, sees=True)
    (message,) = seen.pop("messages")
    assert message["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert message["content"][1] == {"type": "text", "text": "what is it?"}
    assert seen == {
        "model": "tiny",
        "seed": 0,
        "max_tokens": 9,
        "temperature": 0.5,
        "stream": False,
        "response_format": {"type": "json_object"},
    }


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("qwen2.5:7b-instruct", "qwen2.5:7b-instruct"),
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("/models/Tiny", "Tiny"),
        ("C:\\models\\Tiny\\", "Tiny"),
    ],
)
def test_a_report_names_no_folder_of_the_machine(model, shown):
    config = ServerConfig(url="http://127.0.0.1:1/v1", model=model)
    with open_server(config) as opened:
        assert opened.name == f"server: {shown}"


def test_it_works_inside_a_running_loop():
    import asyncio

    async def inside(url: str) -> str:
        return ask(url)

    with servers.serving(servers.says("from within")) as url:
        assert asyncio.run(inside(url)) == "from within"


def test_no_thread_stays():
    before = threading.active_count()
    with servers.serving(servers.says("ok")) as url:
        for _ in range(3):
            ask(url)
    assert threading.active_count() <= before


def test_name_and_key_of_a_model_hold_no_address_and_no_key():
    url = "http://127.0.0.1:9/v1"
    models = []
    for model in ("a", "a", "b"):
        with open_server(ServerConfig(url=url, model=model, key=KEY)) as opened:
            models.append(opened)
    assert [m.name for m in models] == ["server: a", "server: a", "server: b"]
    assert models[0].key == models[1].key != models[2].key
    assert "127.0.0.1" not in models[0].key + models[0].name
