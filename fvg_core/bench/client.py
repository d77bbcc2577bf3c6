"""A small client of ComfyUI's HTTP and websocket interface.

The methods block; the work runs on an event loop in a thread of its own, so one client may be
used from several threads (one runs a prompt, another interrupts it) and inside a running loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp

from ..errors import HostError
from .remote import RemoteComfy, read_event
from .results import (
    Event,
    InterruptedRunError,
    Json,
    OutputFile,
    Prompt,
    RejectedError,
    Result,
    RunError,
    UnreachableError,
    raise_failure,
)

__all__ = [
    "ComfyClient",
    "Event",
    "InterruptedRunError",
    "Json",
    "OutputFile",
    "RejectedError",
    "Result",
    "RunError",
    "UnreachableError",
]

T = TypeVar("T")

POLL_S = 5.0  # how long to trust a silent websocket before asking the history
RECONNECT_S = 20.0  # how long a server may be unreachable before we give up


class ComfyClient:
    """A connection to the server at `url`; a context manager."""

    def __init__(self, url: str, *, timeout_s: float = 60) -> None:
        self.remote = RemoteComfy(url, timeout_s=timeout_s)
        self.url, self.client_id = self.remote.url, self.remote.client_id
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self.remote.open())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def __enter__(self) -> ComfyClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; the server keeps what it was given."""
        if self._thread.is_alive():
            self._do(self.remote.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    # --- plain requests -----------------------------------------------------------------

    def get(self, path: str, **params: str) -> Any:
        """The JSON answer to a GET."""
        return self._do(self.remote.request("GET", path, params=params))

    def post(self, path: str, body: Json) -> Any:
        """The JSON answer to a POST, or None where the answer is empty."""
        return self._do(self.remote.request("POST", path, json=body))

    def object_info(self) -> dict[str, Json]:
        """Every node type of the server, with its inputs and outputs."""
        return self._do(self.remote.object_info())

    def system_stats(self) -> Json:
        return self._do(self.remote.system_stats())

    def history(self, prompt_id: str) -> Json | None:
        """What the server remembers of a finished prompt; None while it is not finished."""
        return self._do(self.remote.history(prompt_id))

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running prompt (only if it is `prompt_id`, when given); unqueue it else."""
        self._do(self.remote.interrupt(prompt_id))

    def fetch(self, file: OutputFile) -> bytes:
        """The bytes of a saved file."""

        async def whole() -> bytes:
            return b"".join([chunk async for chunk in self.remote.download(file)])

        return self._do(whole())

    def upload_image(self, path: Path, *, overwrite: bool = True) -> str:
        """Put an image into the server's input folder; the name LoadImage knows it by."""
        return self._do(self.remote.upload_image(path.name, path.read_bytes(), overwrite=overwrite))

    # --- prompts ------------------------------------------------------------------------

    def submit(self, prompt: Prompt, workflow: Json | None = None) -> str:
        """Queue an API-format prompt; its id.

        The host embeds a workflow in saved files only if the client sends one.
        """
        return self._do(self.remote.submit(prompt, workflow))

    def run(
        self,
        prompt: Prompt,
        workflow: Json | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Result:
        """Queue a prompt, follow it to its end, and return what it left.

        Raises RejectedError, RunError, InterruptedRunError, or HostError for a lost server.
        """
        started = time.monotonic()
        socket = self._do(self.remote.connect())  # before queueing, or early events are lost
        try:
            prompt_id = self.submit(prompt, workflow)
            cached: frozenset[str] = frozenset()
            for event in self._follow(prompt_id, socket):
                if event.kind == "execution_cached":
                    cached = frozenset(event.data.get("nodes", ()))
                if on_event:
                    on_event(event)
        finally:
            self._do(_close(socket))
        entry = self.history(prompt_id)
        if entry is None:
            raise HostError(f"The server forgot prompt {prompt_id}; was it restarted?")
        raise_failure(entry)
        return Result(prompt_id, entry.get("outputs", {}), cached, time.monotonic() - started)

    def _follow(self, prompt_id: str, socket: aiohttp.ClientWebSocketResponse) -> Iterator[Event]:
        """Events of `prompt_id` until the server has it in its history."""
        follower = _Follower(self.remote, prompt_id, socket)
        try:
            while not self._do(follower.finished()):
                event = self._do(follower.next())
                if event is not None:
                    yield event
        finally:
            self._do(_close(follower.socket))


class _Follower:
    """Reads one prompt's events; reconnects, and asks the history when the line is silent."""

    def __init__(
        self, remote: RemoteComfy, prompt_id: str, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self.remote, self.prompt_id, self.socket = remote, prompt_id, socket
        self.ask = False

    async def finished(self) -> bool:
        if not self.ask:
            return False
        self.ask = False
        if await self._patiently(lambda: self.remote.history(self.prompt_id)) is not None:
            return True
        queue = await self._patiently(self.remote.queue)
        waiting = [item[1] for items in queue for item in items]
        # Between queue and history there is a moment in which it is in neither.
        if self.prompt_id in waiting or await self.remote.history(self.prompt_id):
            return False
        raise HostError(f"The server forgot prompt {self.prompt_id}; was it restarted?")

    async def next(self) -> Event | None:
        try:
            message = await self.socket.receive(timeout=POLL_S)
        except asyncio.TimeoutError:
            self.ask = True
            return None
        if message.type == aiohttp.WSMsgType.TEXT:
            return self._read(message.data)
        if message.type == aiohttp.WSMsgType.BINARY:
            return Event("preview", preview=message.data)
        # Closed or broken. What was said meanwhile is lost, so the history decides.
        self.ask = True
        self.socket = await self._patiently(self.remote.connect)
        return None

    def _read(self, message: str) -> Event | None:
        event = read_event(message)
        if event is None or event.data.get("prompt_id") != self.prompt_id:
            return None
        kind = event.kind
        ended = kind in ("execution_success", "execution_error", "execution_interrupted")
        self.ask = ended or (kind == "executing" and event.node is None)
        return event

    async def _patiently(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        deadline = time.monotonic() + RECONNECT_S
        while True:
            try:
                return await attempt()
            except HostError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.close()
