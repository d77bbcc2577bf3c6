"""Which chat server to ask: only the owner of the machine says so, never a workflow.

Where FVG_LLM_URL is set, it, FVG_LLM_MODEL and FVG_LLM_KEY name the server; otherwise the file
does. Everything else stands in the file alone.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ..errors import LanguageModelError

_VARIABLES = {"url": "FVG_LLM_URL", "model": "FVG_LLM_MODEL", "key": "FVG_LLM_KEY"}
_EXAMPLE = '{"url": "http://127.0.0.1:11434/v1", "model": "qwen2.5:7b-instruct"}'


class ServerConfig(BaseModel):
    """An OpenAI-compatible server. Its address and key never leave this process but to it."""

    # A message about a wrong value must not repeat the value: it may be the key.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr  # up to and without /chat/completions, e.g. http://127.0.0.1:11434/v1
    model: str = Field(min_length=1, max_length=200)
    key: SecretStr = SecretStr("")
    allow_remote: bool = False  # servers on other machines, too
    sees: bool = False  # the model takes pictures
    timeout_s: float = Field(180.0, gt=0, le=3600)  # for one reply, all attempts together
    connect_s: float = Field(5.0, gt=0, le=60)  # for one connection
    retries: int = Field(3, ge=0, le=10)  # after 429, 5xx and lost connections

    @model_validator(mode="after")
    def _check_address(self) -> ServerConfig:
        parts = _split(self.url.get_secret_value())
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must start with http:// or https:// and name a server")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("url must hold no user, password, query or fragment; use key")
        if not self.allow_remote and not _is_loopback(parts.hostname):
            raise ValueError(
                "url is not on this machine (127.0.0.1, ::1, localhost); if prompts may leave it, "
                'write "allow_remote": true into the file'
            )
        key = self.key.get_secret_value()
        if not (key.isascii() and key.isprintable()):
            raise ValueError("key must be printable ASCII, in one line")
        return self


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, too
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> ServerConfig:
    """The owner's configuration, JSON. Raises LanguageModelError, which names no value of it."""
    values = _read_file(path)
    if environment.get(_VARIABLES["url"]):
        given = {name: environment.get(variable, "") for name, variable in _VARIABLES.items()}
        values = {k: v for k, v in values.items() if k not in given} | given
    if not values:
        raise LanguageModelError(
            f"no chat server is configured. Write {path.name} in the folder {path.parent.name} of "
            f"ComfyUI's user folder, for example {_EXAMPLE}, or set FVG_LLM_URL and FVG_LLM_MODEL "
            "before ComfyUI starts."
        )
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'server'}: {e['msg']}" for e in error.errors()
        )
        raise LanguageModelError(
            f"the configuration of the chat server is wrong ({wrong}). Correct {path.name}, or the "
            f"variables {', '.join(_VARIABLES.values())}."
        ) from None


def _read_file(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise LanguageModelError(
            f"{path.name} cannot be read as one JSON object. It should look like {_EXAMPLE}."
        )
    return values
