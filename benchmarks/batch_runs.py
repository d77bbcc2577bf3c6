"""One batch on the tiny world, with servers and clients that are killed on the way."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.host import PACK, Install
from dev.server import ComfyServer
from fvg_core.errors import HostError
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.words import sample_prompt

TEMPLATE = PACK / "workflows" / "fvg_tiny.json"
CHEAP = (  # what is tried here is the command, not the models
    "Anchored Wan Sampler.steps=1",
    "Anchored Wan Sampler.cfg=1",
    "Anchor Latent Injector.length=5",
    "Anchor Image Generator.steps=1",
    "Anchor Image Generator.candidates=1",
    "Upscale for Watching.scale_by=1",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # the tiny models gain nothing from more
LONGEST_MOMENT_S = 2.0  # a kill comes up to so long after its turn: at any point of a job
CLIENT = -1  # in place of a server's number
CAN_GO_ON = (0, -9)  # exit statuses of a client that was killed or has finished


def captions(count: int, seed: int = 8) -> list[str]:
    """Different prompts of the tiny world."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[text(prompt_spans(sample_prompt(rng, held_out=None), rng))] = None
    return list(found)


def finished(out: Path) -> int:
    """Works of a batch done so far, in all phases."""
    return sum(path.read_bytes().count(b"\n") for path in out.rglob("manifest.jsonl"))


@dataclass
class Client:
    """The batch command on the folder `out`; `arguments` say what it runs."""

    out: Path
    servers: Sequence[str]
    arguments: Sequence[str]
    log: Path
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "fvg_core", "batch", *self.arguments]
        words += ["--template", str(TEMPLATE), "--out", str(self.out)]
        words += [part for text in CHEAP for part in ("--set", text)]
        return words + [part for url in self.servers for part in ("--server", url)]

    def start(self) -> None:
        """Start it, or the same command again."""
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=PACK, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def ended(self) -> bool:
        """Whether it has finished; HostError if it gave up."""
        assert self.process is not None
        status = self.process.poll()
        if status is not None and status not in CAN_GO_ON:
            raise HostError(
                f"The batch ended with {status}:\n{self.log.read_text(encoding='utf-8')[-2000:]}"
            )
        return status == 0

    def finished(self) -> int:
        return finished(self.out)


@contextlib.contextmanager
def servers(
    install: Install, base: Path, count: int, custom_nodes: Sequence[Path] = ()
) -> Iterator[list[ComfyServer]]:
    """`count` servers, each with folders, database and user of its own."""
    options = {"only_pack": True, "env": ONE_THREAD, "custom_nodes": custom_nodes}
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ComfyServer(install, base / f"server{i}", **options))
            for i in range(count)
        ]


@dataclass
class Kills:
    """When what is killed: (works finished, server number or CLIENT), and what came of it."""

    plan: list[tuple[int, int]]
    rng: random.Random = field(default_factory=lambda: random.Random(8))
    done: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def at_random(cls, total: int, number_of_servers: int, each: int, seed: int = 8) -> Kills:
        """Every server and the client `each` times, spread over a run of `total` works."""
        rng = random.Random(seed)
        victims = [*range(number_of_servers), CLIENT] * each
        rng.shuffle(victims)
        moments = sorted(rng.sample(range(1, total - 1), len(victims)))
        return cls(list(zip(moments, victims, strict=True)), rng)

    def due(self, finished: int) -> bool:
        return bool(self.plan) and finished >= self.plan[0][0]

    def strike(self, client: Client, hosts: Sequence[ComfyServer]) -> None:
        """Kill whose turn it is, and start it again at once."""
        after, victim = self.plan.pop(0)
        moment = self.rng.uniform(0, LONGEST_MOMENT_S)
        time.sleep(moment)
        if client.ended():
            return
        killed = client if victim == CLIENT else hosts[victim]
        killed.kill()
        (client.start if victim == CLIENT else hosts[victim].restart)()
        who = "client" if victim == CLIENT else f"server {victim}"
        self.done.append({"killed": who, "planned_after": after, "after": client.finished()})


def run(client: Client, hosts: Sequence[ComfyServer], kills: Kills) -> float:
    """Run the batch to its end; the seconds it took. SystemExit leaves what is done in place."""
    started = time.monotonic()
    client.start()
    try:
        while not client.ended():
            if kills.due(client.finished()):
                kills.strike(client, hosts)
            time.sleep(0.2)
    finally:
        if client.process is not None and client.process.poll() is None:
            client.process.terminate()
            client.process.wait()
    return time.monotonic() - started


def rendered(base: Path) -> int:
    """Videos that the servers below `base` made, those that nobody fetched among them."""
    return sum(1 for _ in base.glob("server*/output/**/*.mp4"))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fvg-bench-") as base:
        yield Path(base)
