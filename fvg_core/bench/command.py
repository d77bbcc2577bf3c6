"""`python -m fvg_core batch`: its arguments, how it is interrupted, what it returns."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import BatchError
from .address import parse_setting
from .anchors import Pictures, read_choices
from .batch import Entries, Request, run
from .modes import FVG, MODES
from .phases import ANCHORS, PHASES
from .prompt_list import parse_seeds, read_entries
from .runner import Patience
from .servers import Server
from .store import read_id
from .suites import SUITES, suite_entries

INTERRUPTED = 130  # exit status
KEPT = "Stopped. What is finished is kept; the same command goes on."
LEFT = " At most two jobs are still on each server: it goes on with them, --cancel removes them."
DEFAULT_SERVER = "http://127.0.0.1:8188"
STARTER = "dev.batch"  # knows how a ComfyUI is installed; only a checkout has it
Started = tuple[tuple[str, ...], Callable[[str], str] | None]  # as Request.servers and .where


@contextlib.contextmanager
def listed(prompts: str) -> Iterator[Entries]:
    """The entries of a file, or of standard input (`-`), which is kept to be read twice."""
    if prompts != "-":
        yield lambda: read_entries(Path(prompts))
        return
    with tempfile.TemporaryDirectory(prefix="fvg-batch-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        yield lambda: read_entries(copy)


@dataclass(frozen=True)
class Arguments:
    """The command's arguments as the person gave them; `--help` says what each is."""

    prompts: str | None
    template: Path | None
    out: Path
    servers: list[str]
    start: bool
    ray: str | None
    ray_workers: int | None
    settings: list[str]
    seeds: str | None
    prompt_to: str | None
    suite: str | None
    prompts_dir: Path | None
    dimensions: list[str]
    retries: int
    job_timeout: float | None
    variations: int
    mode: str
    interleave: bool
    previews: bool
    stop_after: str | None
    anchors: Path | None
    choices: Path | None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.template is None:
            raise BatchError("Name the workflow to run: --template workflow.json.")
        if (self.prompts is None) == (self.suite is None):
            raise BatchError(f"Name a prompt list, or a suite with --suite {'|'.join(SUITES)}.")
        if self.suite is not None and (self.prompts_dir is None or self.seeds is not None):
            raise BatchError("A suite needs --prompts-dir, and brings its own seeds.")
        if self.suite is not None and self.variations > 1:
            raise BatchError("A suite has one video for each name; leave --variations out.")
        if self.mode not in MODES:
            raise BatchError(f"--mode {self.mode!r} is unknown; expected {', '.join(MODES)}.")
        if self.mode != FVG and (self.stop_after or self.anchors or self.choices):
            raise BatchError(f"--mode {self.mode} knows no anchors; leave out what is for them.")
        if self.mode != FVG and self.variations > 1:
            raise BatchError("--variations are of first-frame prompts, which only --mode fvg has.")
        if self.stop_after not in (None, ANCHORS):
            raise BatchError(f"--stop-after {self.stop_after!r} is unknown; expected anchors.")
        if self.stop_after and (self.anchors or self.choices):
            raise BatchError("--stop-after anchors draws them; --anchors and --choices use them.")
        if self.job_timeout is not None and not self.job_timeout > 0:
            raise BatchError(
                f"--job-timeout {self.job_timeout:g} would stop every job; expected minutes."
            )
        if self.ray is None and self.ray_workers is not None:
            raise BatchError("--ray-workers says how many --ray starts; name the cluster there.")

    def entries(self, stack: contextlib.ExitStack) -> Entries:
        if self.prompts is not None:
            return stack.enter_context(listed(self.prompts))
        suite, folder, only = self.suite, self.prompts_dir, tuple(self.dimensions)
        assert suite is not None
        assert folder is not None
        return lambda: suite_entries(suite, folder, only)

    def pictures(self) -> Pictures | None:
        if self.anchors is None and self.choices is None:
            return None
        choices = None if self.choices is None else read_choices(self.choices)
        return Pictures(self.anchors or self.out, choices)

    def started(self, stack: contextlib.ExitStack) -> Started:
        """The servers that --start and --ray want; they run until the stack is closed."""
        if not self.start and self.ray is None:
            return (), None
        try:
            starter: Any = importlib.import_module(STARTER)
        except ModuleNotFoundError as error:
            if error.name not in ("dev", STARTER):
                raise
            raise BatchError(
                "--start and --ray work in a checkout of the pack, with its folder as the current "
                "one. Start ComfyUI yourself, and name it with --server."
            ) from None
        running: Started = stack.enter_context(starter.started(self.ray, self.ray_workers))
        return running


def command(given: Arguments) -> int:
    """Run the command; the exit status."""
    given.check()
    assert given.template is not None
    minutes = given.job_timeout
    with contextlib.ExitStack() as stack:
        entries = given.entries(stack)
        request = Request(
            entries,
            given.template,
            given.out,
            (),
            tuple(map(parse_setting, given.settings)),
            parse_seeds(given.seeds) if given.seeds is not None else (),
            given.prompt_to,
            given.variations,
            given.mode,
            Patience(retries=given.retries, quiet_s=minutes and minutes * 60),
            given.pictures(),
            given.interleave,
            given.stop_after,
            given.previews,
        )
        if next(request.each(), None) is None:
            raise BatchError("The prompt list is empty.")
        urls, where = given.started(stack)
        servers = tuple(dict.fromkeys([*given.servers, *urls])) or (DEFAULT_SERVER,)
        left = LEFT if set(servers) > set(urls) else ""
        return _interruptible(run(replace(request, servers=servers, where=where)), KEPT + left)


def cancel(given: Arguments) -> int:
    """Take the jobs of the batch in `out` out of the servers' queues; the exit status."""
    if given.start or given.ray is not None:
        raise BatchError(
            "What --start and --ray start ends with the command, and its jobs with it. --cancel is "
            "for a --server that goes on."
        )
    folders = [given.out / phase.folder for phase in PHASES]
    ids = [read_id(folder) for folder in folders if (folder / "batch.json").exists()]
    ids = ids or [read_id(given.out)]  # which says what is wrong

    async def remove() -> int:
        count = 0
        for url in given.servers or [DEFAULT_SERVER]:
            for batch_id in ids:
                server = Server(url, batch_id)
                async with server.remote:
                    count += await server.remove_ours()
        return count

    print(f"{asyncio.run(remove())} jobs removed")
    return 0


def _interruptible(work: Any, said: str) -> int:
    """Run it; Ctrl-C and a termination end it, with these words."""

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
        print(said, file=sys.stderr)
        return INTERRUPTED
