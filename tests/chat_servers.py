"""OpenAI-compatible servers on loopback: `transformers serve`, our own with a real model behind it,
and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import torch
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """The address for OpenAI clients of a server whose chat endpoint is `handler`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def babbling() -> Iterator[str]:
    """The address of something that does not speak HTTP."""

    class Babble(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            self.request.sendall(b"220 mail ready\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Babble) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def completion(text: str | None) -> dict:
    return {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
    }


def real(folder: Path, key: str) -> Handler:
    """Generates with the transformers model of a folder, for who knows the key."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder)

    def generate(body: dict) -> str:
        tokens = tokenizer.apply_chat_template(
            body["messages"],
            add_generation_prompt=True,
            enable_thinking=False,
            return_dict=True,
            return_tensors="pt",
        )
        drawing = {"do_sample": False}
        if body["temperature"] > 0:
            drawing = {"do_sample": True, "temperature": body["temperature"]}
            torch.manual_seed(body["seed"])
        out = network.generate(**tokens, max_new_tokens=body["max_tokens"], **drawing)
        return tokenizer.decode(out[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)

    async def chat(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "wrong key"}, status=401)
        body = await request.json()
        if body["model"] != "tiny":
            return web.json_response({"error": "no such model"}, status=404)
        text = await asyncio.get_running_loop().run_in_executor(None, generate, body)
        return web.json_response(completion(text))

    return chat


def in_turn(*handlers: Handler) -> Handler:
    """Each request gets the next handler, later ones the last."""
    left = list(handlers)

    async def chat(request: web.Request) -> web.StreamResponse:
        handler = left.pop(0) if len(left) > 1 else left[0]
        return await handler(request)

    return chat


def status(code: int, **headers: str) -> Handler:
    async def chat(request: web.Request) -> web.Response:
        said = f"{request.headers.get('Authorization')} at {request.url}"
        return web.json_response({"error": said}, status=code, headers=headers)

    return chat


def says(text: str | None) -> Handler:
    async def chat(request: web.Request) -> web.Response:
        return web.json_response(completion(text))

    return chat


def sends(content: bytes) -> Handler:
    async def chat(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    return chat


async def hangs(request: web.Request) -> web.Response:
    await asyncio.sleep(600)
    return web.Response()


async def cuts(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends, and hangs up."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(json.dumps(completion("half"))[:40].encode())
    request.transport.abort()
    return response


async def floods(request: web.Request) -> web.StreamResponse:
    """10 MB of one string, in pieces."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(160):
        await response.write(b"a" * (1 << 16))
    return response


async def no_json_mode(request: web.Request) -> web.Response:
    body = await request.json()
    if "response_format" in body:
        return web.json_response({"error": "response_format"}, status=400)
    return web.json_response(completion("plain"))


def can_serve() -> bool:
    """Whether `transformers serve` has the packages that it needs."""
    return all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "openai"))


@contextlib.contextmanager
def transformers_serve(folder: Path, log: Path) -> Iterator[str]:
    """The address of `transformers serve` with the model of a folder, which it knows by the
    folder's name. Without its switch for reasoning a chat template writes another chat than our
    own backend asks for."""
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder.name]
    words += ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--reasoning", "off"]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with (
        log.open("wb") as file,
        subprocess.Popen(words, cwd=folder.parent, env=env, stdout=file, stderr=file) as process,
    ):
        try:
            yield f"{_announced(process, log)}/v1"
        finally:
            process.terminate()


def _announced(process: subprocess.Popen, log: Path, timeout_s: float = 120) -> str:
    """Where a server that has just been started says that it listens."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"running on (http://[\d.:]+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"transformers serve did not start:\n{log.read_text(errors='replace')}")
