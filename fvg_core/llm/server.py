"""A language model behind an OpenAI-compatible chat endpoint: Ollama, llama.cpp, vLLM, LM Studio.

Errors name neither the address nor the key, and are raised `from None`: the host logs causes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

from ..errors import LanguageModelError
from .base import Message, Sampling
from .chat import check_images, clean
from .config import ServerConfig

MAX_BYTES = 1 << 20  # of a reply, unpacked
_TICK_S = 0.2
_BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
_MAX_PATIENCE_S = 20.0  # of what a server's Retry-After may ask for


class _Again(Exception):
    """An attempt that another may follow. `after_s`: as the server asks."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class _NoJsonMode(Exception):
    """The server refused the request while it asked for JSON."""


class ServerModel:
    """Asks the server anew for each reply; holds no connection."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self.name = f"server: {_shown(config.model)}"
        stamp = f"{config.url.get_secret_value()} {config.model}"
        self.key = f"server {hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
        self.sees = config.sees

    def reply(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tick: Callable[[], None] = lambda: None,
    ) -> str:
        check_images(messages, self.name, self.sees)
        body = _body(self._config.model, messages, sampling)
        return clean(_watched(self._ask(body), tick), self.name)

    async def _ask(self, body: dict[str, Any]) -> str:
        limit = self._config.timeout_s
        try:
            return await asyncio.wait_for(self._try(body), limit)
        except asyncio.TimeoutError:
            raise self._error(
                f"gave no answer within {limit:g} s. Use a smaller model, or raise timeout_s in "
                "the server's configuration."
            ) from None

    async def _try(self, body: dict[str, Any]) -> str:
        """Attempts until one is final."""
        for attempt in range(self._config.retries + 1):
            try:
                try:
                    return await self._attempt(body)
                except _NoJsonMode:
                    body.pop("response_format")  # the prompt asks for JSON, too
                    return await self._attempt(body)
            except _Again as error:
                why, after_s = str(error), error.after_s
            if attempt < self._config.retries:
                pause = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
                await asyncio.sleep(min(after_s or pause, _MAX_PATIENCE_S))
        raise self._error(f"{why}, {self._config.retries + 1} times.")

    async def _attempt(self, body: dict[str, Any]) -> str:
        import aiohttp

        config = self._config
        headers = {"Accept-Encoding": "identity"}
        if key := config.key.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        url = f"{config.url.get_secret_value().rstrip('/')}/chat/completions"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, json=body, headers=headers, allow_redirects=False) as response,
            ):
                self._check_status(response, "response_format" in body)
                return self._text(await self._read(response))
        except aiohttp.ClientPayloadError:
            raise _Again("broke off its answer") from None
        except aiohttp.ClientConnectionError:
            raise _Again("cannot be reached; is it running, and the address right?") from None
        except aiohttp.ClientError:
            raise self._error(
                "cannot be asked, or does not speak HTTP. Check the address in its configuration."
            ) from None

    def _check_status(self, response: Any, asks_for_json: bool) -> None:
        status = response.status
        if status == 200:
            return
        if status == 429 or status >= 500:
            with suppress(ValueError):
                after_s = float(response.headers.get("Retry-After", ""))
                raise _Again(f"answered with status {status}", max(after_s, 0.0))
            raise _Again(f"answered with status {status}")
        if status in (400, 422) and asks_for_json:
            raise _NoJsonMode
        why = {
            401: "the key is missing or wrong",
            403: "the key may not use this model",
            404: "there is no such model, or the address is not one that ends before "
            "/chat/completions",
        }.get(status, "redirects are not followed" if 300 <= status < 400 else "it refused")
        raise self._error(f"answered with status {status}: {why}. Check its configuration.")

    async def _read(self, response: Any) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            content += chunk
            if len(content) > MAX_BYTES:
                raise self._error(
                    f"sent more than {MAX_BYTES >> 20} MB for one reply. It is not a chat server, "
                    "or its model does not stop; ask for fewer tokens."
                )
        return bytes(content)

    def _text(self, content: bytes) -> str:
        try:
            text = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            text = 0
        if text is not None and not isinstance(text, str):
            raise self._error(
                "did not answer as the OpenAI chat API does. Check that its address is the one "
                "for OpenAI clients (it usually ends in /v1)."
            )
        return text or ""

    def _error(self, what: str) -> LanguageModelError:
        return LanguageModelError(f"the language model ({self.name}) {what}")


def _shown(model: str) -> str:
    """A model's name for reports; of one that is named by its path, the last part."""
    path = model.replace("\\", "/")
    absolute = path.startswith(("/", "~")) or path[1:3] == ":/"
    return path.rstrip("/").rpartition("/")[2] if absolute else model


def _body(model: str, messages: Sequence[Message], sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": _content(m)} for m in messages],
        "seed": sampling.seed & 0x7FFFFFFF,  # several servers keep it in 32 bits
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "stream": False,
    }
    if sampling.structured:
        body["response_format"] = {"type": "json_object"}
    return body


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    pictures = [{"type": "image_url", "image_url": {"url": _as_url(i)}} for i in message.images]
    return [*pictures, {"type": "text", "text": message.text}]


def _as_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _watched(request: Coroutine[Any, Any, str], tick: Callable[[], None]) -> str:
    """Runs a request on a loop of its own, beside any that runs; `tick` may raise to stop it."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(request)

    def work() -> str:
        try:
            return loop.run_until_complete(task)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            while not wait([running], _TICK_S).done:
                tick()
            return running.result()
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed: it has just ended by itself
                loop.call_soon_threadsafe(task.cancel)
            raise


@contextmanager
def open_server(config: ServerConfig) -> Iterator[ServerModel]:
    """A model of the configured server, for as long as the `with`."""
    yield ServerModel(config)
