"""`python -m benchmarks.paper [--quick]`: the paper's tables on the tiny world.

Tables 1, 2, 4, 5 and 7, sections 4.1 and 6.1, and the cost of a video, all through a real ComfyUI
on held-out prompts and scored from pixels. Writes `benchmarks/results/<date>/paper/`: page, plots,
contact sheets, raw scores, settings and the commit. Interrupt and run again: it goes on, unless
seeds, steps, sampling, weights, ComfyUI, torch or the code have changed (that of the page may).
`--out` the folder of a finished run and more `--prompts`: what is there is not made again, under
the same condition.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.batch_runs import servers
from benchmarks.machine import describe
from benchmarks.paper import cost, goals, pictures, run, spread, tables
from benchmarks.steps import PACKS
from dev.host import Install, prepare
from dev.recipe import describe_pack
from fvg_core.bench.client import ComfyClient
from fvg_core.errors import FVGError

MOST_WORKERS = 4  # by default


def measure(
    folder: Path, plan: run.Plan, head: dict[str, Any], install: Install, workers: int
) -> dict[str, Any]:
    """Everything of a plan, by `workers` servers; rows and costs are kept in `folder`, under
    `head`, as they come."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(servers(install, base, workers, custom_nodes=[PACKS]))
        clients = [stack.enter_context(ComfyClient(server.url)) for server in running]
        costs = run.known_cost(clients[0], folder / "cost.json", plan, head)
        todo = run.items(plan.prompts)
        rows = run.collect(clients, run.judge_ways, folder / "ways.jsonl", todo, plan, head)
        todo = run.items(plan.spread)
        path = folder / "spread.jsonl"
        spreads = run.collect(clients, run.judge_spread, path, todo, plan, head)
    return {"ways": rows, "spread": spreads, "cost": costs}


def page(found: dict[str, Any], record: dict[str, Any], plan: run.Plan) -> str:
    """The Markdown page."""
    head = [
        f"# The paper's tables on the tiny world, {record['date']}",
        "",
        f"{tables.counted(plan.prompts, 'held-out prompt')} of each category x "
        f"{tables.counted(plan.seeds, 'seed')}, through ComfyUI {record['machine']['comfyui']}, "
        f"commit `{record['commit']}`. Mean score ± 95% over prompts (Student's t, seeds averaged "
        f"within a prompt; none for fewer than {tables.LEAST} prompts, nor where all score alike). "
        "This is a tiny world: 64 x 64 pixels, models of a few million parameters.",
        "",
    ]
    parts = [
        goals.markdown(found["ways"]),
        tables.markdown(found["ways"], plan.steps),
        "![Table 2](table2.png)\n\n![Change with the number of steps](steps.png)\n",
        spread.markdown(found["spread"]),
        cost.markdown(found["cost"]),
    ]
    return "\n".join([*head, *parts])


def place(name: str, date: str) -> Path:
    """The folder of a run: one that was not finished, of any date, or a new one of today."""
    begun = [p for p in report.RESULTS.glob(f"*/{name}") if not (p / "paper.md").exists()]
    return max(begun, default=report.RESULTS / date / name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few prompts, one seed, two steps")
    parser.add_argument("--prompts", type=int, help="of each category, in place of the plan")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, MOST_WORKERS),
        help="servers of one thread each, with some 1.5 GB of memory each",
    )
    parser.add_argument("--out", type=Path, help="folder in place of benchmarks/results/<date>/...")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: at least one server is needed")
    plan = run.QUICK if options.quick else run.FULL
    count = options.prompts or plan.prompts
    plan = replace(plan, prompts=count, spread=min(count, plan.spread))
    date = datetime.date.today().isoformat()
    name = "paper-quick" if options.quick else "paper"
    folder = options.out or place(name, date)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that servers are stopped
    try:
        install = prepare()
        machine, commit = describe(install), describe_pack()["commit"]
        head = run.head_of(plan, machine)
        found = measure(folder, plan, head, install, options.workers)
    except FVGError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on")
    record = {
        "date": date,
        "machine": machine,
        "commit": commit,
        **head,
        "plan": asdict(plan),
    }
    pictures.draw(found["ways"], plan.steps, folder)
    text = page(found, record, plan)
    report.write(record, text, folder, "paper")
    print(text)


if __name__ == "__main__":
    main()
