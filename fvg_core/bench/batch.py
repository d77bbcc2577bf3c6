"""Hundreds of prompts through a template, on one or more servers: anchors, then videos."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BatchError
from .anchors import FOLDER, Pictures, ends_at_picker
from .contact_sheet import write_contact_sheet
from .progress import Progress
from .prompt_list import Entry
from .results import UnreachableError
from .runner import Patience, Runner
from .servers import Server
from .store import Store
from .template import Template, Work

SET_ASIDE = 3  # exit status: all others are done
Entries = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Request:
    """One batch. `entries` starts the list anew at each call.

    `anchors_first` draws all candidates before the first video; `only_anchors` stops there.
    """

    entries: Entries
    template: Path
    out: Path
    servers: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()
    seeds: tuple[int, ...] = ()
    prompt_to: str | None = None
    patience: Patience = field(default_factory=Patience)
    pictures: Pictures | None = None
    anchors_first: bool = False
    only_anchors: bool = False

    def each(self) -> Iterator[tuple[Entry, int | None]]:
        """Entries and seeds, in order; a line's own seed counts more than --seeds."""
        for entry in self.entries():
            for seed in (entry.seed,) if entry.seed is not None else self.seeds or (None,):
                given = self.pictures.give(entry, seed) if self.pictures else entry
                if given is not None:
                    yield given, seed


async def run(request: Request) -> int:
    """Do what is not done yet; the exit status."""
    if request.anchors_first or request.only_anchors:
        folder = request.out / FOLDER
        aside = await _phase(request, folder, "anchors", ends_at_picker)
        if request.only_anchors:
            print(write_contact_sheet(folder))
            return SET_ASIDE if aside else 0
    aside = await _phase(request, request.out, "videos", lambda work: work)
    print(request.out / "manifest.jsonl")
    return SET_ASIDE if aside else 0


async def _phase(
    request: Request, out: Path, what: str, part: Callable[[Work], Work | None]
) -> int:
    """Run `part` of every work into `out`; how many were set aside."""
    with Store(out) as store:
        loaded = Loader(request)
        servers = [Server(url, store.id, loaded.accept) for url in request.servers]
        async with contextlib.AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server.remote)
            await _greet(servers)
            template = loaded.template
            assert template is not None  # one server has answered
            total = _check(template, request)
            if part is ends_at_picker and not template.draws:
                return _nothing_to_draw(request)
            store.start_failures()
            works = (template.work(entry, seed) for entry, seed in request.each())
            parts = (some for work in works if (some := part(work)) is not None)
            with Progress(total, what) as report:
                runner = Runner(parts, servers, store, report, request.patience)
                await runner.run()
                report.done(runner.pool.skipped)
    if runner.aside:
        print(f"{runner.aside} set aside, with the reasons: {store.failed}", file=sys.stderr)
    return runner.aside


def _nothing_to_draw(request: Request) -> int:
    if request.only_anchors:
        raise BatchError(
            f"{request.template} draws no anchors: no Anchor Picker gets pictures of an Anchor "
            "Image Generator. Leave --stop-after out."
        )
    return 0


class Loader:
    """Reads the template anew for each server that joins, which is the check that it fits."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.template: Template | None = None

    def accept(self, info: dict[str, Any]) -> None:
        asked = self.request
        loaded = Template.load(asked.template, info, asked.settings, asked.prompt_to)
        self.template = self.template or loaded


async def _greet(servers: list[Server]) -> None:
    """Meet every server; those that do not answer may come later, but one must be there."""
    for server in servers:
        try:
            await server.greet()
        except UnreachableError as error:
            if server is servers[-1] and not any(other.alive for other in servers):
                raise
            print(f"{error} Going on without it until it answers.", file=sys.stderr)


def _check(template: Template, request: Request) -> int:
    """Refuse a list that does not fit the template, before anything is queued; its length."""
    total = 0
    for entry, seed in request.each():
        try:
            template.edits(entry, seed)
        except BatchError as error:
            where = f"Line {entry.line} ({entry.prompt[:40]!r})"
            raise BatchError(f"{where}: {error}") from error
        total += 1
    return total
