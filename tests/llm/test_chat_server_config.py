"""Which server is asked: the owner's file or environment, loopback unless the file says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fvg_core.errors import LanguageModelError
from fvg_core.llm import read_config

LOCAL = {"url": "http://127.0.0.1:11434/v1", "model": "qwen"}
SECRET = "sk-very-secret-0123456789"


def read(tmp_path: Path, values: dict | str | None = None, **environment: str):
    file = tmp_path / "__fvg" / "llm.json"
    if values is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(values if isinstance(values, str) else json.dumps(values))
    return read_config(file, environment)


def test_the_file_is_read(tmp_path: Path):
    config = read(tmp_path, {**LOCAL, "key": SECRET, "timeout_s": 9})
    assert (config.model, config.timeout_s, config.retries) == ("qwen", 9, 3)
    assert config.key.get_secret_value() == SECRET
    assert SECRET not in repr(config)
    assert "127.0.0.1" not in repr(config)


def test_the_environment_names_the_server_as_a_whole(tmp_path: Path):
    values = {**LOCAL, "key": SECRET, "retries": 1}
    config = read(tmp_path, values, FVG_LLM_URL="http://localhost:1/v1", FVG_LLM_MODEL="other")
    assert config.url.get_secret_value() == "http://localhost:1/v1"
    assert (config.model, config.retries) == ("other", 1)
    assert config.key.get_secret_value() == ""  # the file's key is for the file's server


def test_nothing_configured_says_where_to_write_it(tmp_path: Path):
    with pytest.raises(LanguageModelError, match=r"llm.json in the folder __fvg of .*user folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.0.7:11434/v1",
        "https://api.example.com/v1",
        "http://127.0.0.1.example.com/v1",
        "http://localhost.example.com/v1",
        "http://[2001:db8::1]/v1",
        "http://0.0.0.0/v1",
    ],
)
def test_other_machines_only_where_the_owner_says_so(tmp_path: Path, url: str):
    with pytest.raises(LanguageModelError, match="not on this machine"):
        read(tmp_path, {**LOCAL, "url": url})
    with pytest.raises(LanguageModelError, match="not on this machine"):
        read(tmp_path, LOCAL, FVG_LLM_URL=url, FVG_LLM_MODEL="m")
    assert read(tmp_path, {**LOCAL, "url": url, "allow_remote": True}).allow_remote


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9:80", "[::1]:8080", "localhost:1"])
def test_this_machine_is_always_allowed(tmp_path: Path, host: str):
    assert read(tmp_path, {**LOCAL, "url": f"http://{host}/v1"})


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ('{"url": "sk-very-secret-0123456789"', "cannot be read as one JSON object"),
        ("[1]", "cannot be read as one JSON object"),
        ({**LOCAL, "url": f"file:///etc/{SECRET}"}, "http:// or https://"),
        ({**LOCAL, "url": f"http://user:{SECRET}@127.0.0.1/v1"}, "no user, password"),
        ({**LOCAL, "url": f"http://127.0.0.1:{SECRET}/v1"}, "http:// or https://"),
        ({**LOCAL, "url": f"http://[{SECRET}/v1"}, "http:// or https://"),
        ({**LOCAL, "key": f"{SECRET}\nX: 1"}, "printable ASCII"),
        ({**LOCAL, "key": [SECRET]}, "key: "),
        ({**LOCAL, "apikey": SECRET}, "apikey: Extra inputs"),
        ({**LOCAL, "timeout_s": -1}, "timeout_s: "),
        ({"url": LOCAL["url"]}, "model: "),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(tmp_path: Path, values, why: str):
    with pytest.raises(LanguageModelError, match=why) as raised:
        read(tmp_path, values)
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
