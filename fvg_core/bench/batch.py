"""`python -m fvg_core batch`: hundreds of prompts through a template, on one or more servers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BatchError
from .address import parse_setting
from .prompt_list import Entry, parse_seeds, read_entries
from .results import UnreachableError
from .runner import Patience, Runner
from .servers import Server
from .store import Store, read_id
from .suites import SUITES, suite_entries
from .template import Template, Work

SET_ASIDE = 3  # exit status: all others are done
INTERRUPTED = 130
Entries = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Request:
    """One batch. `entries` starts the list anew at each call; `total` is its length."""

    entries: Entries
    total: int
    template: Path
    out: Path
    servers: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()
    seeds: tuple[int, ...] = ()
    prompt_to: str | None = None
    patience: Patience = field(default_factory=Patience)

    def seeds_of(self, entry: Entry) -> tuple[int | None, ...]:
        """A line's own seed counts more than --seeds."""
        return (entry.seed,) if entry.seed is not None else self.seeds or (None,)


async def run(request: Request) -> int:
    """Do what is not done yet; the exit status."""
    with Store(request.out) as store:
        loaded = Loader(request)
        servers = [Server(url, store.id, loaded.accept) for url in request.servers]
        async with contextlib.AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server.remote)
            await _greet(servers)
            template = loaded.template
            assert template is not None  # one server has answered
            _check(template, request)
            store.start_failures()
            with Progress(request.total) as report:
                works = _works(template, request)
                runner = Runner(works, servers, store, report, request.patience)
                await runner.run()
                report.done(runner.pool.skipped)
    if runner.aside:
        print(f"{runner.aside} set aside, with the reasons: {store.failed}", file=sys.stderr)
    print(store.manifest)
    return SET_ASIDE if runner.aside else 0


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


def _check(template: Template, request: Request) -> None:
    """Refuse a list that does not fit the template, before anything is queued."""
    for entry in request.entries():
        try:
            for seed in request.seeds_of(entry):
                template.edits(entry, seed)
        except BatchError as error:
            where = f"Line {entry.line} ({entry.prompt[:40]!r})"
            raise BatchError(f"{where}: {error}") from error


def _works(template: Template, request: Request) -> Iterator[Work]:
    for entry in request.entries():
        for seed in request.seeds_of(entry):
            yield template.work(entry, seed)


class Progress:
    """A bar with what is done, what failed, the rate and the time left."""

    def __init__(self, total: int) -> None:
        self.total, self.failed, self.skipped = total, 0, 0

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        self.bar: Any = tqdm(
            total=self.total,
            unit="run",
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def _skip(self, skipped: int) -> None:
        more, self.skipped = skipped - self.skipped, skipped
        self.bar.initial += more  # not part of the rate
        self.bar.n += more

    def finished(self, work: Work, skipped: int) -> None:
        self._skip(skipped)
        self.bar.update()

    def set_aside(self, work: Work, why: str) -> None:
        self.failed += 1
        self.bar.set_postfix(failed=self.failed, refresh=False)
        self.bar.update()
        self.say(f"set aside: {work.entry.prompt[:60]!r}: {why}")

    def say(self, text: str) -> None:
        self.bar.write(text, file=sys.stderr)

    def step(self, server: str, text: str) -> None:
        self.bar.set_postfix(failed=self.failed, step=text, refresh=False)

    def done(self, skipped: int) -> None:
        self._skip(skipped)
        self.bar.refresh()


@contextlib.contextmanager
def listed(prompts: str, kind: str | None = None) -> Iterator[Entries]:
    """The entries of a file, or of standard input (`-`), which is kept to be read twice."""
    if prompts != "-":
        yield lambda: read_entries(Path(prompts), kind)
        return
    with tempfile.TemporaryDirectory(prefix="fvg-batch-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        yield lambda: read_entries(copy, kind or ".txt")


def command(
    prompts: str | None,
    template: Path | None,
    out: Path,
    servers: list[str],
    settings: list[str],
    seeds: str | None,
    prompt_to: str | None,
    suite: str | None,
    prompts_dir: Path | None,
    dimensions: list[str],
    retries: int,
) -> int:
    """The command with its arguments as the person gave them; the exit status."""
    if template is None:
        raise BatchError("Name the workflow to run: --template workflow.json.")
    if (prompts is None) == (suite is None):
        raise BatchError(f"Name a prompt list, or a suite with --suite {'|'.join(SUITES)}.")
    if suite is not None and (prompts_dir is None or seeds is not None):
        raise BatchError("A suite needs --prompts-dir, and brings its own seeds.")
    with contextlib.ExitStack() as stack:
        if prompts is not None:
            entries = stack.enter_context(listed(prompts))
        else:
            assert suite is not None
            assert prompts_dir is not None
            entries = lambda: suite_entries(suite, prompts_dir, tuple(dimensions))
        chosen = parse_seeds(seeds) if seeds is not None else ()
        total = sum(1 if e.seed is not None else len(chosen) or 1 for e in entries())
        if not total:
            raise BatchError("The prompt list is empty.")
        request = Request(
            entries,
            total,
            template,
            out,
            tuple(dict.fromkeys(servers)),
            tuple(map(parse_setting, settings)),
            chosen,
            prompt_to,
            Patience(retries=retries),
        )
        return _interruptible(run(request))


def cancel(out: Path, servers: list[str]) -> int:
    """Take the jobs of the batch in `out` out of the servers' queues; the exit status."""

    async def remove() -> int:
        count = 0
        for url in servers:
            server = Server(url, read_id(out))
            async with server.remote:
                count += await server.remove_ours()
        return count

    print(f"{asyncio.run(remove())} jobs removed")
    return 0


def _interruptible(work: Any) -> int:
    """Run it; Ctrl-C and a termination end it with what is finished kept."""

    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        if sys.platform != "win32":
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        status: int = await work
        return status

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(
            "Stopped. What is finished is kept; at most two jobs are still on each server. The "
            "same command goes on with them, --cancel removes them.",
            file=sys.stderr,
        )
        return INTERRUPTED
