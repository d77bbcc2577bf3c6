"""A ComfyUI server from an event loop: what `client.ComfyClient` does in blocking calls."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import aiohttp

from ..errors import HostError
from .results import Event, Json, OutputFile, Prompt, UnreachableError, rejection

GATEWAYS = (502, 503, 504)  # what a proxy answers for a server that is gone
CHUNK = 1 << 18  # bytes
PREVIEW = b"\0\0\0\1"  # begins a binary message that brings a preview
PATIENT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)  # of big files


class RemoteComfy:
    """A connection to the server at `url`; an async context manager.

    Every method raises UnreachableError where nothing answers, HostError for an unwanted answer.
    """

    def __init__(self, url: str, *, client_id: str | None = None, timeout_s: float = 60) -> None:
        self.url = url.rstrip("/")
        self.client_id = client_id or uuid.uuid4().hex
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> RemoteComfy:
        self._http = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def close(self) -> None:
        """Disconnect; the server keeps what it was given."""
        if self._http is not None:
            await self._http.close()

    async def __aenter__(self) -> RemoteComfy:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise HostError("There is no connection yet: use `async with RemoteComfy(url)`.")
        return self._http

    async def request(self, method: str, path: str, **more: Any) -> Any:
        """The JSON answer, or None where it is empty; `more` goes to aiohttp."""
        status, body = await self._raw(method, path, **more)
        if status in GATEWAYS:
            raise UnreachableError(f"{self.url}{path} answered {status}: the server is away.")
        try:
            if status == 400 and path == "/prompt":
                raise rejection(json.loads(body))
            if status < 400:
                return json.loads(body) if body.strip() else None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise HostError(
                f"{self.url} answers, but not as ComfyUI does ({path} is not JSON). "
                "Is this the right address and port?"
            ) from error
        text = body[:300].decode(errors="replace")
        raise HostError(f"{self.url}{path} answered {status}: {text}")

    async def _raw(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        try:
            async with self.http.request(method, self.url + path, **more) as reply:
                return reply.status, await reply.read()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> UnreachableError:
        return UnreachableError(
            f"Cannot reach ComfyUI at {self.url}: {error or type(error).__name__}. "
            "Is the server running?"
        )

    async def object_info(self) -> dict[str, Json]:
        """Every node type of the server, with its inputs and outputs."""
        info: dict[str, Json] = await self.request("GET", "/object_info")
        return info

    async def system_stats(self) -> Json:
        stats: Json = await self.request("GET", "/system_stats")
        return stats

    async def history(self, prompt_id: str) -> Json | None:
        """What the server remembers of a finished prompt; None while it is not finished."""
        answer = await self.request("GET", f"/history/{prompt_id}")
        entry: Json | None = answer.get(prompt_id)
        return entry

    async def recent(self, most: int) -> dict[str, Json]:
        """The last `most` entries of the history, by prompt id."""
        entries: dict[str, Json] = await self.request(
            "GET", "/history", params={"max_items": str(most)}
        )
        return entries

    async def queue(self) -> tuple[list[Any], list[Any]]:
        """What runs and what waits, each as (number, prompt id, prompt, extra data, outputs)."""
        answer = await self.request("GET", "/queue")
        return answer["queue_running"], answer["queue_pending"]

    async def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running prompt (only if it is `prompt_id`, when given); unqueue it else."""
        if prompt_id:  # first out of the queue, so that it cannot start in between
            await self.request("POST", "/queue", json={"delete": [prompt_id]})
        await self.request("POST", "/interrupt", json={"prompt_id": prompt_id} if prompt_id else {})

    async def download(self, file: OutputFile) -> AsyncIterator[bytes]:
        """The bytes of a saved file, in chunks."""
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self.http.get(self.url + "/view", params=where, timeout=PATIENT) as reply:
                if reply.status in GATEWAYS:
                    raise UnreachableError(f"{self.url}/view answered {reply.status}.")
                if reply.status != 200:
                    raise HostError(
                        f"{file.filename} is not on the server any more ({reply.status})."
                    )
                async for chunk in reply.content.iter_chunked(CHUNK):
                    yield chunk
        except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise self._unreachable(error) from error

    async def upload_image(self, name: str, content: bytes, *, overwrite: bool = True) -> str:
        """Put an image into the server's input folder; the name LoadImage knows it by."""
        form = aiohttp.FormData({"overwrite": "true" if overwrite else "false"})
        form.add_field("image", content, filename=name)
        answer = await self.request("POST", "/upload/image", data=form)
        return "/".join(filter(None, (answer.get("subfolder"), answer["name"])))

    async def submit(
        self,
        prompt: Prompt,
        workflow: Json | None = None,
        *,
        prompt_id: str | None = None,
        extra: Json | None = None,
    ) -> str:
        """Queue an API-format prompt; its id, which is `prompt_id` (a UUID) when given.

        The host embeds a workflow in saved files only if the client sends one. `extra` stays
        with the prompt in the server's queue and history.
        """
        body: Json = {"prompt": prompt, "client_id": self.client_id, "extra_data": extra or {}}
        if workflow is not None:
            body["extra_data"] = {**body["extra_data"], "extra_pnginfo": {"workflow": workflow}}
        if prompt_id is not None:
            body["prompt_id"] = prompt_id
        answer = await self.request("POST", "/prompt", json=body)
        given: str = answer["prompt_id"]
        if answer.get("node_errors"):  # the host would run the valid half and say nothing
            await self.interrupt(given)
            raise rejection({"error": {}, "node_errors": answer["node_errors"]})
        return given

    async def connect(self) -> aiohttp.ClientWebSocketResponse:
        """The websocket on which the server tells what happens to this client's prompts."""
        try:
            return await self.http.ws_connect(
                f"{self.url}/ws", params={"clientId": self.client_id}, heartbeat=30, max_msg_size=0
            )
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def events(self) -> AsyncIterator[tuple[str, Event]]:
        """(prompt id, event) of all that happens here, until the connection ends.

        Previews come without an id; the server sends this client only those of its own prompts.
        """
        socket = await self.connect()
        try:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    if event := read_event(message.data):
                        yield event.data.get("prompt_id") or "", event
                elif picture := preview_picture(message.data):
                    yield "", Event("preview", preview=picture)
        finally:
            await socket.close()


def read_event(text: str) -> Event | None:
    """A message of the websocket; None for what only a pack can have sent, in a form of its own."""
    try:
        said = json.loads(text)
        data = said["data"]
        if not isinstance(data.get("prompt_id") or "", str):
            return None
        value, maximum = float(data.get("value") or 0), float(data.get("max") or 0)
        return Event(str(said["type"]), data.get("node"), value, maximum, data)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def preview_picture(message: Any) -> bytes | None:
    """The JPEG or PNG file in a binary message of the websocket (protocol.py of ComfyUI 0.30.0:
    4 bytes say 1 for a preview, 4 say 1 for JPEG or 2 for PNG, then the file)."""
    plain = isinstance(message, bytes) and message[:4] == PREVIEW
    return message[8:] if plain and message[8:] else None
