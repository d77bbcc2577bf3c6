"""One server of a batch: placing a job on it, waiting for its end, finding it again."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from ..errors import FVGError, HostError
from .remote import RemoteComfy
from .results import Event, Json, UnreachableError
from .template import Work

MARK = "fvg_batch"  # in the extra data of our jobs: the batch they belong to
OLDEST = (0, 20, 1)  # the oldest ComfyUI the pack was run on
LOOKED_BACK = 64  # history entries read for results that an earlier run did not fetch
SILENCE_S = 5.0  # how long to trust a silent websocket
STOPPING_S = 60.0  # how long an interrupted job may take to end
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # between looks for a server that is away
ENDS = ("execution_success", "execution_error", "execution_interrupted")


class ForgottenError(HostError):
    """A job is neither in the server's queue nor in its history: it was restarted or emptied."""


class Server:
    """A server that works for the batch `batch_id`.

    `name` is its first address, which stays where `url` changes. `known` are prompt ids of this
    batch that it has already; `own` waits for jobs among them, and `near` for jobs that would find
    on its disk what an earlier phase has made. `failing` are keys of the works that failed since
    the last that did not; after many of them it is `sick`. `longest_s` is its longest run.
    `accept` is given its node types, and raises where it lacks what the batch needs. `where`
    tells the address that the server of a name has by now; it may take seconds.
    """

    hung: ClassVar[set[str]] = set()  # jobs of this process that no interruption ended

    def __init__(
        self,
        url: str,
        batch_id: str,
        accept: Callable[[dict[str, Json]], None] | None = None,
        where: Callable[[str], str] | None = None,
    ) -> None:
        # The same client id in every run, so that a job of a killed run reports to its heir.
        self.remote = RemoteComfy(url, client_id=batch_id)
        self.name = self.url = self.remote.url
        self.batch_id, self._accept, self._where = batch_id, accept, where
        self.version = "unknown"
        self.known: set[str] = set()
        self.own: deque[Any] = deque()
        self.near: deque[Any] = deque()
        self.failing: set[str] = set()
        self.alive = self.sick = False
        self.recovering = asyncio.Lock()
        self.longest_s = 0.0
        self._uploaded: set[str] = set()
        self._ended: dict[str, asyncio.Event] = {}
        self._moved: dict[str, float] = {}  # when a running job's last step was heard of

    async def greet(self) -> None:
        """Ask who it is and what it has of ours; HostError if it is not a ComfyUI to use."""
        if self._where is not None:
            self.url = self.remote.url = await asyncio.to_thread(self._where, self.name)
        stats = await self.remote.system_stats()
        system = stats.get("system") if isinstance(stats, dict) else None
        if not isinstance(system, dict):
            raise HostError(f"{self.url} answers, but not as ComfyUI does. Is this the right port?")
        self.version = str(system.get("comfyui_version", "unknown"))
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        if found and tuple(map(int, found.groups())) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise HostError(f"{self.url} is ComfyUI {self.version}; {oldest} or newer is needed.")
        if self._accept is not None:
            info = await self.remote.object_info()
            try:
                self._accept(info)
            except HostError as error:
                raise HostError(f"{self.url}: {error}") from error
        running, pending = await self.remote.queue()
        if any(item[1] in self.hung for item in running):
            raise HostError(f"{self.url} still runs a job that hangs. Restart that ComfyUI.")
        past = (await self.remote.recent(LOOKED_BACK)).values()
        jobs = [*running, *pending, *(entry["prompt"] for entry in past if entry.get("prompt"))]
        self.known = {job[1] for job in jobs if is_ours(job, self.batch_id)}
        self._uploaded.clear()
        self.alive = True

    async def place(self, work: Work, prompt_id: str) -> None:
        """Queue the work, unless the server has it already under this id."""
        if prompt_id in self.known:
            return
        for name, path in work.uploads:
            if name not in self._uploaded:
                content = await asyncio.to_thread(path.read_bytes)
                await self.remote.upload_image(name, content)
                self._uploaded.add(name)
        extra = {MARK: self.batch_id}
        given = await self.remote.submit(
            work.prompt, work.workflow, prompt_id=prompt_id, extra=extra
        )
        if given != prompt_id:
            await self.remote.interrupt(given)
            raise HostError(
                f"{self.url} gives jobs names of its own, so they could not be found again. "
                "Update that ComfyUI."
            )
        self.known.add(prompt_id)

    async def end_of(self, prompt_id: str, quiet_s: float = math.inf) -> Json:
        """The history entry of a placed job, once it has one; ForgottenError if it never will.

        A job that has run for `quiet_s` since its last step is stopped: a HostError.
        """
        ended = self._ended.setdefault(prompt_id, asyncio.Event())
        pause = 0.05
        try:
            while True:
                if entry := await self.remote.history(prompt_id):
                    return entry
                running, pending = await self.remote.queue()
                if any(item[1] == prompt_id for item in running):
                    now = time.monotonic()
                    if now - self._moved.setdefault(prompt_id, now) > quiet_s:
                        await self._stop(prompt_id, quiet_s)
                elif not any(item[1] == prompt_id for item in pending):
                    if entry := await self.remote.history(prompt_id):
                        return entry
                    raise ForgottenError(f"{self.url} forgot a job; was it restarted?")
                pause = 0.05 if ended.is_set() else min(2 * pause, SILENCE_S)
                if ended.is_set():
                    await asyncio.sleep(pause)
                else:
                    await _wait(ended, pause)
        finally:
            del self._ended[prompt_id]
            self._moved.pop(prompt_id, None)

    async def _stop(self, prompt_id: str, quiet_s: float) -> NoReturn:
        """End a job that hangs; where that fails the server is away until the job is gone."""
        why = f"It ran for {quiet_s / 60:.3g} minutes at {self.url} without a step"
        await self.remote.interrupt(prompt_id)
        started = time.monotonic()
        while any(item[1] == prompt_id for item in (await self.remote.queue())[0]):
            if time.monotonic() - started > STOPPING_S:
                self.hung.add(prompt_id)
                self.alive = False
                await self.remove_ours()  # what waits there would wait for ever
                raise HostError(f"{why}, and could not be interrupted. Restart that ComfyUI.")
            await asyncio.sleep(min(1.0, STOPPING_S))
        raise HostError(f"{why}, and was interrupted. --job-timeout sets how long it may.")

    async def failed_before(self, prompt_id: str) -> bool:
        """Whether the server remembers that this job failed."""
        entry = await self.remote.history(prompt_id) if prompt_id in self.known else None
        return entry is not None and entry.get("status", {}).get("status_str") == "error"

    async def listen(
        self, step: Callable[[str, str], None], preview: Callable[[str, bytes], None]
    ) -> None:
        """Follow the websocket for ever; jobs wake up when their end is told.

        `step` hears the server's address and how far its running node is, `preview` the address
        and a picture of what it is making.
        """
        while True:
            try:
                async for prompt_id, event in self.remote.events():
                    if event.preview:
                        preview(self.url, event.preview)
                    self._heard(prompt_id, event, step)
            except HostError:
                pass  # end_of asks by itself; whether the server is gone shows there
            await asyncio.sleep(1)

    def _heard(self, prompt_id: str, event: Event, step: Callable[[str, str], None]) -> None:
        if prompt_id not in self._ended:
            return
        self._moved[prompt_id] = time.monotonic()
        if event.kind == "progress":
            step(self.url, f"{event.value:.0f}/{event.maximum:.0f}")
        if event.kind in ENDS or (event.kind == "executing" and event.node is None):
            self._ended[prompt_id].set()

    async def come_back(self, say: Callable[[str], None]) -> None:
        """Return once the server is fit for use again, having asked more and more rarely.

        `say` hears why one that answers is not fit; a proxy may answer anything meanwhile.
        """
        pause, said = FIRST_PAUSE_S, ""
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            try:
                return await self.greet()
            except UnreachableError:
                continue
            except FVGError as error:
                if str(error) != said:
                    said = str(error)
                    say(said)

    async def remove_ours(self) -> int:
        """Take every job of this batch out of the queue, the running one too; how many."""
        running, waiting = await self.remote.queue()
        ours = [job[1] for job in (*waiting, *running) if is_ours(job, self.batch_id)]
        for prompt_id in ours:
            await self.remote.interrupt(prompt_id)
        return len(ours)


def is_ours(job: Any, batch_id: str) -> bool:
    """Whether a job (number, prompt id, prompt, extra data, ...) belongs to the batch."""
    extra = job[3] if isinstance(job, list) and len(job) > 3 else None
    return isinstance(extra, dict) and extra.get(MARK) == batch_id


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return
