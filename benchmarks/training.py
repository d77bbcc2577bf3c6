"""What training costs: our LoRA Trainer against the host's, cached clips, what is kept on the way.

Each side of a case has a server of its own, and they train in turns: their times are neighbours
under the same load, and no side's memory hides another's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.steps import PACKS
from benchmarks.training_figures import evaluate, events, in_pairs
from benchmarks.training_graphs import (
    CLIPS,
    OURS,
    RECORD,
    Case,
    Graph,
    Size,
    between,
    encoding_anew,
    our_trainer,
    training_graph,
    updates,
)
from dev.host import Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.tiny.clips import write_clips

CLIP_COUNT = 4  # as many as the largest batch: each server has to encode them
TINY = Size("tiny", pixels=64, length=17)
LARGER = Size("larger", pixels=128, length=17, dim=768, heads=6, layers=4)
# The dtype, and whether blocks are checkpointed.
KINDS = [(dtype, checkpointed) for dtype in ("fp32", "bf16") for checkpointed in (False, True)]
CASES = (
    *(Case(TINY, *kind, batch=1, steps=20, rounds=8) for kind in KINDS),
    *(Case(TINY, *kind, batch=4, steps=10, rounds=6) for kind in KINDS),
    *(Case(LARGER, *kind, batch=1, steps=6, rounds=5) for kind in KINDS),
    *(Case(LARGER, *kind, batch=4, steps=4, rounds=3) for kind in KINDS),
)
CACHING = (
    Case(TINY, "fp32", False, 4, steps=6, rounds=4),
    Case(LARGER, "fp32", False, 4, steps=4, rounds=2),
)
# The trainer's own batch; what is written comes much more often here than by default.
KEEPING = Case(TINY, "fp32", False, 16, steps=60, rounds=1)
CHECKPOINT_EVERY, VALIDATE_EVERY, DEFAULT_EVERY = 6, 10, 250
VALIDATION_CLIPS = 8


def measure(install: Install, base: Path, share: float = 1.0) -> dict[str, Any]:
    """Figures of every case; `share` of the usual rounds and of the steps that are kept."""
    less = lambda case: replace(case, rounds=max(2, round(case.rounds * share)))
    keeping = replace(KEEPING, steps=max(2 * VALIDATE_EVERY, round(KEEPING.steps * share)))
    figures: dict[str, Any] = {"against": [], "caching": []}
    with tqdm(total=len(CASES) + len(CACHING) + 1, desc="  training", unit="case") as bar:
        for case in map(less, CASES):
            bar.set_postfix_str(case.name)
            figures["against"].append(_against(install, base, case))
            bar.update()
        with _server(install, base / OURS) as run:
            for case in map(less, CACHING):
                bar.set_postfix_str(f"caching, {case.name}")
                figures["caching"].append(_caching(run, case))
                bar.update()
        with _server(install, base / "keeping", CLIP_COUNT + VALIDATION_CLIPS) as run:
            bar.set_postfix_str("checkpoints and validation")
            figures["keeping"] = _keeping(run, keeping)
            bar.update()
    return figures


def _against(install: Install, base: Path, case: Case) -> dict[str, Any]:
    """All sides of a case in turns; another one begins each round."""
    records: dict[str, list[dict]] = {side: [] for side in case.sides}
    with contextlib.ExitStack() as stack:
        runs = {
            side: stack.enter_context(_server(install, base / side.replace(", ", "-")))
            for side in case.sides
        }
        for i in range(case.rounds):
            first = i % len(case.sides)
            for side in case.sides[first:] + case.sides[:first]:
                records[side].append(runs[side](training_graph(case, side, i)))
    per_step = {side: updates(case, side) for side in case.sides}
    return {"case": asdict(case), "name": case.name, **evaluate(records, per_step, case.batch)}


def _caching(run: _Run, case: Case) -> dict[str, Any]:
    """The same training from the cache and with every sample encoded when it is read."""
    records: dict[str, list[dict]] = {"cached": [], "encoded anew": []}
    for i in range(case.rounds):
        for kind in list(records)[:: 1 if i % 2 else -1]:
            graph = training_graph(case, OURS, run.count)
            records[kind].append(run(graph if kind == "cached" else encoding_anew(graph)))
    return {"case": asdict(case), "name": case.name, **in_pairs(records, case.batch)}


def _keeping(run: _Run, case: Case) -> dict[str, Any]:
    """What a checkpoint and a validation take, without and with sampled videos."""
    found = {}
    for kind in ("losses", "videos"):
        trainer = our_trainer(
            case,
            run.count,
            checkpoint_every=CHECKPOINT_EVERY,
            validate_every=VALIDATE_EVERY,
            validation_clips=VALIDATION_CLIPS,
            **({"vae": ["world", 3]} if kind == "videos" else {}),
        )
        record = run(between(case.size, trainer, run.count))
        found[kind] = events(record, CHECKPOINT_EVERY, VALIDATE_EVERY, DEFAULT_EVERY)
    return {"case": asdict(case), **found}


class _Run:
    """Runs graphs on a server, `count` so far. Called with one, gives what its stopwatch wrote."""

    def __init__(self, server: ComfyServer, client: ComfyClient) -> None:
        self._path, self._client, self.count = server.output / f"{RECORD}.json", client, 0

    def __call__(self, graph: Graph) -> dict[str, Any]:
        self.count += 1
        self._client.run(graph)
        return json.loads(self._path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def _server(install: Install, base: Path, count: int = CLIP_COUNT) -> Iterator[_Run]:
    """A fresh server with `count` clips; what it encodes is there for the next one of `base`."""
    clips = base / "input" / CLIPS
    if not clips.is_dir():
        write_clips(clips, count)
    with (
        ComfyServer(
            install,
            base,
            only_pack=True,
            custom_nodes=[PACKS],
            own_loras=True,
        ) as server,
        ComfyClient(server.url) as client,
    ):
        yield _Run(server, client)
