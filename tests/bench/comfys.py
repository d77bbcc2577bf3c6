"""Servers that answer as ComfyUI does and run no graph: a test says what becomes of each job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from fvg_core.bench.progress import Progress
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.results import UnreachableError
from fvg_core.bench.runner import Patience, Runner
from fvg_core.bench.servers import Server
from fvg_core.bench.store import Store
from fvg_core.bench.template import Work

DONE, REFUSED, FAILED, HUNG = "done", "refused", "failed", "hung"
SAVED = {"1": {"images": [{"filename": "x.mp4", "subfolder": "", "type": "output"}]}}
BROKEN = ["execution_error", {"node_type": "Sampler", "exception_message": "CUDA error"}]
STOPPED = ["execution_interrupted", {}]
QUICK = Patience(backoff_s=0.01)


def works(count: int) -> list[Work]:
    """Different works of "prompt 0" and so on."""
    graphs = [{"1": {"class_type": "Save", "inputs": {"n": i}}} for i in range(count)]
    return [
        Work(f"{i:064x}", Entry(f"prompt {i}", i), None, graph, None)
        for i, graph in enumerate(graphs)
    ]


class Comfy:
    """`fate` says of each number of a work what becomes of it; `said` goes to who listens.

    A hung job runs on; with `stops` it ends when it is interrupted. `tried` are the works' numbers.
    While `away`, a proxy answers that there is nobody.
    """

    def __init__(
        self,
        fate: Callable[[int], str] = lambda number: DONE,
        said: Iterable[str] = (),
        stops: bool = True,
        takes_s: float = 0,
    ) -> None:
        self.fate, self.said, self.stops, self.takes_s = fate, said, stops, takes_s
        self.away = False
        self.tried: list[int] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.running: list[Any] = []
        self.pending: list[Any] = []
        self.past: dict[str, Any] = {}

    async def __aenter__(self) -> Comfy:
        app = web.Application(middlewares=[self.proxy])
        app.router.add_get("/system_stats", self.stats)
        app.router.add_get("/history", self.history)
        app.router.add_get("/history/{id}", self.history)
        app.router.add_get("/queue", self.queue)
        app.router.add_post("/queue", self.delete)
        app.router.add_post("/interrupt", self.interrupt)
        app.router.add_post("/prompt", self.prompt)
        app.router.add_get("/view", self.view)
        app.router.add_get("/ws", self.listen)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.runner.cleanup()

    @web.middleware
    async def proxy(self, request: web.Request, handler: Any) -> web.StreamResponse:
        return web.Response(status=503) if self.away else await handler(request)

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": "0.30.0"}})

    async def history(self, request: web.Request) -> web.Response:
        return web.json_response(self.past)

    async def queue(self, request: web.Request) -> web.Response:
        return web.json_response({"queue_running": self.running, "queue_pending": self.pending})

    async def delete(self, request: web.Request) -> web.Response:
        ids = (await request.json())["delete"]
        self.pending = [job for job in self.pending if job[1] not in ids]
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        asked = (await request.json())["prompt_id"]
        if self.stops and self.running and self.running[0][1] == asked:
            self.end(self.running.pop(), STOPPED)
        return web.Response()

    async def prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        number = body["prompt"]["1"]["inputs"]["n"]
        self.tried.append(number)
        await asyncio.sleep(self.takes_s)
        job = [number, body["prompt_id"], body["prompt"], body["extra_data"], ["1"]]
        fate = self.fate(number)
        if fate == REFUSED:
            return web.json_response({"error": {"message": "not in list"}}, status=400)
        if self.running or fate == HUNG:
            (self.pending if self.running else self.running).append(job)
        else:
            self.end(job, None if fate == DONE else BROKEN)
        return web.json_response({"prompt_id": job[1], "node_errors": {}})

    def end(self, job: Any, why: Any) -> None:
        status = {"status_str": "error" if why else "success", "messages": [why] if why else []}
        self.past[job[1]] = {"prompt": job, "outputs": {} if why else SAVED, "status": status}
        if self.pending and not self.running:
            self.end(self.pending.pop(0), None)

    async def view(self, request: web.Request) -> web.Response:
        return web.Response(body=b"video")

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for text in self.said:
            await socket.send_str(text)
        self.sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def tell(self, kind: str, **data: Any) -> None:
        """Say it of the running job."""
        data["prompt_id"] = self.running[0][1]
        for socket in self.sockets:
            await socket.send_json({"type": kind, "data": data})


def drive(
    root: Path,
    count: int,
    *comfys: Comfy,
    patience: Patience = QUICK,
    meanwhile: Callable[[], Any] | None = None,
) -> tuple[int, int]:
    """A batch of `count` works into `root`: how many are done, and how many set aside."""

    async def run() -> tuple[int, int]:
        with Store(root) as store, Progress(count, "videos") as report:
            servers = [Server(comfy.url, store.id) for comfy in comfys]
            for server in servers:
                await server.remote.open()
                with contextlib.suppress(UnreachableError):
                    await server.greet()
            runner = Runner(iter(works(count)), servers, store, report, patience)
            side = asyncio.create_task(meanwhile()) if meanwhile else None
            try:
                await asyncio.wait_for(runner.run(), 60)
            finally:
                if side is not None:
                    side.cancel()
                for server in servers:
                    await server.remote.close()
        return len(store.done), len(runner.aside)

    async def started() -> tuple[int, int]:
        for comfy in comfys:
            await comfy.__aenter__()
        try:
            return await run()
        finally:
            for comfy in comfys:
                await comfy.__aexit__()

    return asyncio.run(started())
