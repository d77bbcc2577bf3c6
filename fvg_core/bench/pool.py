"""The list of work that several servers share: who takes what, and what comes back."""

from __future__ import annotations

import asyncio
import heapq
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .servers import Server
from .store import Store
from .template import Work

MOST_ATTEMPTS = 16  # names of one job that are looked for on a server
BREATH = 20  # finished works passed over before the event loop gets a turn
MOST_NEAR = 64  # jobs that wait for the server that has their beginnings


@dataclass
class Job:
    """A work on its way. `attempt` is part of its name on a server; `failures` and `losses`
    count in this run; `placed` names the servers that were given it, `failed_at` those where it
    failed or was refused."""

    work: Work
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    placed: set[str] = field(default_factory=set)
    failed_at: set[str] = field(default_factory=set)

    def name(self, batch_id: str, attempt: int | None = None) -> str:
        """The prompt id: the same in every run of the batch, so that a job is found again."""
        tried = self.attempt if attempt is None else attempt
        return str(uuid.uuid5(uuid.UUID(batch_id), f"{self.work.key}/{tried}"))


class Pool:
    """Jobs made of `works` as they are asked for; those the store has are passed over.

    Everything runs on one event loop. `all_done` is set when nothing is left anywhere. `home` names
    the server that has what a work starts from; another takes it only when it has nothing else.
    """

    def __init__(
        self,
        works: Iterator[Work],
        servers: list[Server],
        store: Store,
        home: Callable[[Work], str | None] = lambda work: None,
    ) -> None:
        self.works, self.servers, self.store, self.home = works, servers, store, home
        self.all_done = asyncio.Event()
        self.skipped = 0
        self._changed = asyncio.Event()
        self._ready: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = 0
        self._out = 0  # jobs in a worker's hands
        self._same: dict[str, list[tuple[str, ...]]] = {}  # keys on their way -> further targets
        self._exhausted = False

    async def take(self, server: Server) -> Job:
        """The next job for `server`, waited for; for ever where there will be none."""
        while True:
            self._changed.clear()
            job = await self._next(server)
            if job is not None:
                self._out += 1
                return job
            if self._nothing_left():
                self.all_done.set()
            await self._change()

    async def _next(self, server: Server) -> Job | None:
        if server.own:
            return server.own.popleft()
        while self._later and self._later[0][0] <= time.monotonic():
            self._ready.append(heapq.heappop(self._later)[2])
        for job in self._ready:
            if server.name not in job.failed_at or not self.elsewhere(job):
                self._ready.remove(job)
                return job
        if server.near:
            return server.near.popleft()
        passed = 0
        while sum(len(other.near) for other in self.servers) < MOST_NEAR:
            if (work := next(self.works, None)) is None:
                self._exhausted = True
                break
            job = self._fresh(work)
            if job is not None and self._is_for(server, job):
                return job
            passed += 1
            if passed % BREATH == 0:
                await asyncio.sleep(0)
        fullest = max(self.servers, key=lambda other: len(other.near))
        return fullest.near.popleft() if fullest.near else None

    def elsewhere(self, job: Job) -> bool:
        """Whether a server is there that is in order and did not fail at this job."""
        return any(s.alive and not s.sick and s.name not in job.failed_at for s in self.servers)

    def _is_for(self, server: Server, job: Job) -> bool:
        """Whether `server` may take it at once; else it waits for the server that it belongs to."""
        holder = self._holder(job)
        if holder is None:
            home = self.home(job.work)
            near = next((s for s in self.servers if s.alive and s.url == home), server)
            if near is server:
                return True
            near.near.append(job)
        elif holder is server:
            return True
        else:
            holder.own.append(job)
        self._changed.set()
        return False

    def _fresh(self, work: Work) -> Job | None:
        """A job, unless the work is done or on its way: then its targets get copies."""
        if work.key in self.store.done:
            self.store.copy_to(work.key, work.entry.targets)
            self.skipped += 1
            return None
        if work.key in self._same:
            self._same[work.key].append(work.entry.targets)
            self.skipped += 1
            return None
        self._same[work.key] = []
        return Job(work)

    def _holder(self, job: Job) -> Server | None:
        """The server that has this job since an earlier run."""
        names = [job.name(self.store.id, attempt) for attempt in range(MOST_ATTEMPTS)]
        for server in self.servers:
            if server.alive and any(name in server.known for name in names):
                return server
        return None

    def _nothing_left(self) -> bool:
        waiting = self._ready or self._later or any(server.own for server in self.servers)
        return self._exhausted and not self._out and not waiting

    async def _change(self) -> None:
        due = self._later[0][0] - time.monotonic() if self._later else None
        try:
            await asyncio.wait_for(self._changed.wait(), due and max(due, 0.01))
        except asyncio.TimeoutError:
            return

    def give_back(self, job: Job) -> None:
        """To whoever is free first."""
        self._out -= 1
        self._ready.append(job)
        self._changed.set()

    def again(self, job: Job, after_s: float) -> None:
        """Not before `after_s` seconds, under a new name."""
        self._out -= 1
        job.attempt += 1
        self._numbers += 1
        heapq.heappush(self._later, (time.monotonic() + after_s, self._numbers, job))
        self._changed.set()

    def finished(self, job: Job) -> None:
        """The store has it; equal lines get their copies."""
        for targets in (job.work.entry.targets, *self._same.pop(job.work.key)):
            self.store.copy_to(job.work.key, targets)
        self._out -= 1
        self._changed.set()

    def dropped(self, job: Job) -> None:
        """It failed for good. Equal lines are not tried either."""
        self._out -= 1
        self._changed.set()

    def release(self, server: Server) -> None:
        """What waited for a server that is gone goes to all."""
        for waiting in (server.own, server.near):
            self._ready.extend(waiting)
            waiting.clear()
        self._changed.set()
