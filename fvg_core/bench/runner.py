"""Runs a list of work on servers: each takes the next job as soon as it is free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from ..errors import BatchError, HostError
from .given import GENERATOR, PICKER
from .phases import TEXT
from .pool import Job, Pool
from .prompt_list import drawn_by
from .results import Json, OutputFile, RejectedError, Result, UnreachableError, raise_failure
from .servers import ForgottenError, Server
from .store import Kept, Store, file_name, safe_ending
from .template import Work

AHEAD = 2  # jobs on a server at once, so that it never waits for us
MOST_LOSSES = 5  # times a server may forget the same job
LONGEST_BACKOFF_S = 300.0
LOOK_S = 0.2  # between looks whether any server is there
QUIET_S, QUIET_RUNS = 7200.0, 20  # a job hangs after so long, and so many of the longest runs


class Report(Protocol):
    """Who is told how the batch goes."""

    def finished(self, work: Work, skipped: int) -> None: ...

    def set_aside(self, work: Work, why: str) -> None: ...

    def say(self, text: str) -> None: ...

    def step(self, server: str, text: str) -> None: ...

    def preview(self, server: str, picture: bytes) -> None: ...


@dataclass(frozen=True)
class Patience:
    """`retries` of a failed job, the first after `backoff_s`, then twice as long each time.

    `gone_s`: how long all servers may be away before the batch gives up. A server is sick after
    `sick_after` different works in a row that failed there, and gets none for `sick_s`. `quiet_s`:
    how long a job may run without a step; None: two hours, or 20 times its server's longest run.
    """

    retries: int = 2
    backoff_s: float = 5.0
    gone_s: float = 1800.0
    sick_after: int = 10
    sick_s: float = 300.0
    quiet_s: float | None = None


class Runner:
    """Runs `works` on `servers` (greeted) into `store`; `aside` are keys of what it gave up."""

    def __init__(
        self,
        works: Iterator[Work],
        servers: list[Server],
        store: Store,
        report: Report,
        patience: Patience,
        home: Callable[[Work], str | None] = lambda work: None,
    ) -> None:
        self.servers, self.store, self.report, self.patience = servers, store, report, patience
        self.pool = Pool(works, servers, store, home)
        self.aside: set[str] = set()

    async def run(self) -> None:
        """Until everything is done or set aside. Raises BatchError where it cannot go on."""
        tasks = [asyncio.create_task(self._work_at(server)) for server in self.servers * AHEAD] + [
            asyncio.create_task(server.listen(self.report.step, self.report.preview))
            for server in self.servers
        ]
        tasks.append(asyncio.create_task(self._give_up()))
        end = asyncio.create_task(self.pool.all_done.wait())
        try:
            await asyncio.wait([end, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in (end, *tasks):
                task.cancel()
            await asyncio.gather(end, *tasks, return_exceptions=True)

    async def _work_at(self, server: Server) -> None:
        while True:
            if not server.alive:
                await self._wait_for(server)
            job = await self.pool.take(server)
            if not server.alive:  # it went away meanwhile, which is no loss of this job
                self.pool.give_back(job)
                continue
            try:
                await self._do(server, job)
            except UnreachableError as error:
                server.alive = False
                self.pool.give_back(job)
                self.report.say(str(error))

    async def _wait_for(self, server: Server) -> None:
        async with server.recovering:
            if server.alive:
                return
            self.pool.release(server)
            if server.sick:
                await asyncio.sleep(self.patience.sick_s)
            await server.come_back(self.report.say)

    async def _give_up(self) -> None:
        """Raise once `gone_s` have passed since the last server in order went away."""
        last = time.monotonic()
        while time.monotonic() - last < self.patience.gone_s:
            await asyncio.sleep(LOOK_S)
            if any(server.alive and not server.sick for server in self.servers):
                last = time.monotonic()
        raise none_answered(self.patience.gone_s)

    async def _do(self, server: Server, job: Job) -> None:
        started = time.monotonic()
        name = job.name(self.store.id)
        try:
            while await server.failed_before(name):
                job.attempt += 1  # in an earlier run; not to be taken for this one's
                name = job.name(self.store.id)
            if server.name in job.placed and name not in server.known:
                job.losses += 1
            if job.losses > MOST_LOSSES:
                self._drop(job, f"It was lost {job.losses} times, each time with its server.")
                return
            job.placed.add(server.name)
            await server.place(job.work, name)
            entry = await server.end_of(name, self._quiet_s(server))
            raise_failure(entry)
            seconds = _run_seconds(entry) or time.monotonic() - started
            server.longest_s = max(server.longest_s, seconds)
            await self._fetch(server, job, Result(name, entry["outputs"], frozenset(), seconds))
        except UnreachableError:
            raise
        except ForgottenError:
            server.known.discard(name)
            self.pool.give_back(job)
        except HostError as error:
            self._failed(server, job, error)
        else:
            server.failing.clear()
            server.sick = False
            self.pool.finished(job)
            self.report.finished(job.work, self.pool.skipped)

    def _quiet_s(self, server: Server) -> float:
        usual = max(QUIET_S, QUIET_RUNS * server.longest_s)
        return usual if self.patience.quiet_s is None else self.patience.quiet_s

    def _failed(self, server: Server, job: Job, error: HostError) -> None:
        """Again, if it may be the server's fault, or a matter of chance; else it is set aside."""
        if not server.sick:
            job.failures += 1
        job.failed_at.add(server.name)
        self._blame(server, job, error)
        refused = isinstance(error, RejectedError)  # and would be again, at this server
        untried = len(job.failed_at) == 1 and self.pool.elsewhere(job)
        if job.failures > (0 if refused else self.patience.retries) and not untried:
            self._drop(job, str(error))
            return
        pause = self.patience.backoff_s * 2 ** max(job.failures - 1, 0)
        pause = 0.0 if refused else min(pause, LONGEST_BACKOFF_S)
        what = f"{job.work.entry.prompt[:60]!r} failed at {server.url}"
        self.report.say(f"{what}, again in {pause:.0f} s: {error}")
        job.placed.clear()
        self.pool.again(job, pause)

    def _blame(self, server: Server, job: Job, error: HostError) -> None:
        """Let a server rest where nothing succeeds any more; BatchError where that are all."""
        server.failing.add(job.work.key)
        if len(server.failing) < self.patience.sick_after:
            return
        server.sick, server.alive = True, False
        why = f"{len(server.failing)} works in a row failed at {server.url}"
        if all(other.sick and not other.alive for other in self.servers):
            raise BatchError(
                f"No server is in order: {why}. Look into its log, and restart it; what is "
                "finished is kept, and the same command does the rest. If it is the prompts, take "
                f"these lines out of the list. The last error: {error}"
            )
        rest = f"{self.patience.sick_s / 60:.0f} minutes"
        self.report.say(f"{why}; it gets no more for {rest}. The last error: {error}")

    def _drop(self, job: Job, why: str) -> None:
        self.store.set_aside({"key": job.work.key, **recipe(job.work), "error": why})
        self.aside.add(job.work.key)
        self.pool.dropped(job)
        self.report.set_aside(job.work, why)

    async def _fetch(self, server: Server, job: Job, result: Result) -> None:
        parts: list[tuple[Path, Kept]] = []
        try:
            for file, name in named_files(job.work, result):
                chunks = _said(file) if isinstance(file, str) else server.remote.download(file)
                parts.append(await self.store.download(chunks, name))
            line = recipe(job.work) | {
                "seconds": round(result.seconds, 3),
                "failures": job.failures,
                "server": server.url,
                "comfyui": server.version,
                "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
            self.store.keep(job.work.key, parts, line)
        finally:
            for part, _ in parts:
                part.unlink(missing_ok=True)


def none_answered(seconds: float) -> BatchError:
    return BatchError(
        f"No server answered and was in order for {seconds / 60:.0f} minutes. What is finished is "
        "kept; the same command goes on."
    )


def recipe(work: Work) -> Json:
    """What made a work, for the manifest."""
    return {
        "prompt": work.entry.prompt,
        "seed": work.seed,
        "line": work.entry.line,
        "variation": work.entry.variation,
        **drawn_by(work.entry),
        "uploads": [name for name, _ in work.uploads],
        "api_prompt": work.prompt,
    }


async def _said(text: str) -> AsyncIterator[bytes]:
    yield text.encode(errors="backslashreplace")


def named_files(work: Work, result: Result) -> list[tuple[OutputFile | str, str]]:
    """The files worth keeping, or their text, and names here; HostError where the run left none.

    Candidates are no results, unless the template ends with them.
    """
    shown = [output["text"] for number, output in result.outputs.items() if number.endswith(TEXT)]
    if shown:
        texts = "\n\n".join(str(text) for each in shown for text in each)
        return [(texts + "\n", file_name(work, ".txt"))]
    saved = [file for file in result.files() if file.type == "output"]
    kinds = {number: node["class_type"] for number, node in work.prompt.items()}
    saved = [file for file in saved if kinds.get(file.node) not in (GENERATOR, PICKER)] or [
        file for file in result.files() if kinds.get(file.node) == GENERATOR
    ]
    if not saved:
        raise HostError(
            "The run left no file. Does the template end in a save node, and does nothing in it "
            "wait for a click?"
        )
    if not work.entry.targets:
        return [(file, file_name(work, file.filename, i)) for i, file in enumerate(saved)]
    target = work.entry.targets[0]
    ending = safe_ending(target)
    fitting = [file for file in saved if safe_ending(file.filename) == ending]
    if not fitting:
        raise BatchError(
            f"The suite wants {ending} files, and the template saves {saved[0].filename!r}. "
            "Set the format of its save node."
        )
    return [(fitting[0], target)]


def _run_seconds(entry: Json) -> float | None:
    """Seconds between start and end, as the server noted them."""
    times = {
        kind: data.get("timestamp")
        for kind, data in entry.get("status", {}).get("messages", ())
        if kind in ("execution_start", "execution_success")
    }
    if len(times) < 2 or None in times.values():
        return None
    return (times["execution_success"] - times["execution_start"]) / 1000
