"""Hundreds of prompts through a template, on one or more servers, phase after phase."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import BatchError, HostError
from .anchors import Pictures
from .contact_sheet import write_contact_sheet
from .graph import missing_files
from .modes import FVG
from .phases import DRAWINGS, PHASES, VIDEOS, Phase, earlier_parts, homes
from .progress import Progress
from .prompt_list import Entry
from .results import UnreachableError
from .runner import Patience, Runner, none_answered
from .servers import Server
from .store import Store
from .template import Template

SET_ASIDE = 3  # exit status: all others are done
Entries = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Request:
    """One batch. `entries` starts the list anew at each call.

    It runs in phases, up to the one named `stop_after`; with `interleave` only in the last.
    `mode` is one of modes.MODES, `variations` a number of first-frame prompts for each line.
    `where` tells the address that one of `servers` has by now, where something restarts them.
    """

    entries: Entries
    template: Path
    out: Path
    servers: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()
    seeds: tuple[int, ...] = ()
    prompt_to: str | None = None
    variations: int = 1
    mode: str = FVG
    patience: Patience = field(default_factory=Patience)
    pictures: Pictures | None = None
    interleave: bool = False
    stop_after: str | None = None
    previews: bool = False
    where: Callable[[str], str] | None = None

    def each(self) -> Iterator[tuple[Entry, int | None]]:
        """Entries and seeds, in order; a line's own seed counts more than --seeds."""
        for entry in self.entries():
            seeds = (entry.seed,) if entry.seed is not None else self.seeds or (None,)
            wordings = 1 if entry.anchor is not None else self.variations
            for seed, variation in itertools.product(seeds, range(wordings)):
                worded = replace(entry, variation=variation)
                given = self.pictures.give(worded, seed) if self.pictures else worded
                if given is not None:
                    yield given, seed

    def phases(self) -> list[Phase]:
        """What is run one after the other."""
        last = DRAWINGS if self.stop_after == DRAWINGS.name else VIDEOS
        if self.interleave:
            return [last]
        wanted = PHASES[: PHASES.index(last) + 1]
        return [phase for phase in wanted if phase is not DRAWINGS or self.pictures is None]


async def run(request: Request) -> int:
    """Do what is not done yet; the exit status."""
    lost: set[str] = set()
    async with _met(request, request.phases()) as (_, template):
        total = _check(template, request)
        phases = [phase for phase in request.phases() if phase.has(template)]
    if request.stop_after is not None and DRAWINGS not in phases:
        raise BatchError(
            f"{request.template} draws no anchors: no Anchor Picker gets pictures of an Anchor "
            "Image Generator. Leave --stop-after out."
        )
    for phase in phases:
        lost |= await _run_phase(request, phase, total, lost)
    if request.stop_after is not None:
        print(write_contact_sheet(request.out / DRAWINGS.folder))
    else:
        print(request.out / "manifest.jsonl")
    return SET_ASIDE if lost else 0


@contextlib.asynccontextmanager
async def _met(
    request: Request, phases: list[Phase], batch_id: str = ""
) -> AsyncIterator[tuple[list[Server], Template]]:
    """The servers, met and connected, and the template as one of them reads it."""
    loaded = Loader(request, phases)
    servers = [Server(url, batch_id, loaded.accept, request.where) for url in request.servers]
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.remote)
        begun = any((request.out / phase.folder / "batch.json").exists() for phase in PHASES)
        await _greet(servers, request.patience.gone_s if begun else 0)
        assert loaded.template is not None  # one server has answered
        yield servers, loaded.template


async def _run_phase(request: Request, phase: Phase, total: int, lost: set[str]) -> set[str]:
    """Run a phase's part of every work that no earlier one has `lost`; keys of those set aside."""
    with Store(request.out / phase.folder) as store:
        async with _met(request, [phase], store.id) as (servers, template):
            store.start_failures()
            works = (template.work(entry, seed) for entry, seed in request.each())
            if lost:
                works = (
                    w for w in works if not any(p.key in lost for p in earlier_parts(phase, w))
                )
            parts = (some for work in works if (some := phase.part(work)) is not None)
            previews = request.out if request.previews else None
            home = homes(request.out, phase)
            with Progress(total, phase.name, previews) as report:
                runner = Runner(parts, servers, store, report, request.patience, home)
                await runner.run()
                report.done(runner.pool.skipped)
    if runner.aside:
        print(f"{len(runner.aside)} set aside, with the reasons: {store.failed}", file=sys.stderr)
    return runner.aside


class Loader:
    """Reads the template anew for each server that joins, which is the check that it fits.

    The server must list the model files that the first line needs in `phases`.
    """

    def __init__(self, request: Request, phases: list[Phase]) -> None:
        self.request, self.phases = request, phases
        self.template: Template | None = None

    def accept(self, info: dict[str, Any]) -> None:
        """HostError where a server with these node types lacks what the batch needs."""
        asked = self.request
        loaded = Template.load(
            asked.template, info, asked.settings, asked.prompt_to, mode=asked.mode
        )
        for entry, seed in itertools.islice(asked.each(), 1):
            with _line_of(entry):
                work = loaded.work(entry, seed)
            for part in filter(None, (phase.part(work) for phase in self.phases)):
                for number, widget, file in missing_files(part.prompt, info):
                    title = part.prompt[number]["_meta"]["title"]
                    raise HostError(
                        f"This ComfyUI has no {file!r}, which the template names in {title} "
                        f"(node {number}, {widget}). Put it into its models folder, or name "
                        f'another: --set "#{number}.{widget}=...".'
                    )
        self.template = self.template or loaded


async def _greet(servers: list[Server], wait_s: float) -> None:
    """Meet every server; those that do not answer may come later, but one must be there.

    Where none answers, one is waited for as long as `wait_s`.
    """
    for server in servers:
        try:
            await server.greet()
        except UnreachableError as error:
            if not wait_s and server is servers[-1] and not any(other.alive for other in servers):
                raise
            print(f"{error} Going on without it until it answers.", file=sys.stderr)
    if any(server.alive for server in servers):
        return
    say = functools.partial(print, file=sys.stderr)
    tasks = [asyncio.create_task(server.come_back(say)) for server in servers]
    done, waiting = await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if not done:
        raise none_answered(wait_s)


def _check(template: Template, request: Request) -> int:
    """Refuse a list that does not fit the template, before anything is queued; its length."""
    total = 0
    for entry, seed in request.each():
        with _line_of(entry):
            template.edits(entry, seed)
        total += 1
    return total


@contextlib.contextmanager
def _line_of(entry: Entry) -> Iterator[None]:
    """Errors within name the line of the entry."""
    try:
        yield
    except BatchError as error:
        raise BatchError(f"Line {entry.line} ({entry.prompt[:40]!r}): {error}") from error
