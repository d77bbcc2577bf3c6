"""`python -m benchmarks`: measure what the pack costs and record it (`make bench`)."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks import demo, machine, report, start, steps, training, training_report
from dev.host import Install, prepare
from dev.recipe import describe_pack
from fvg_core.errors import FVGError

OVERHEAD = ("steps", "start", "demo")
PARTS = (*OVERHEAD, "training")


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--only", choices=PARTS, action="append", help="measure only this part")
    arguments.add_argument("--cold", action="store_true", help="a fresh clone too (minutes, 6 GB)")
    arguments.add_argument(
        "--share", type=float, default=1.0, help="of the usual repetitions, e.g. 0.2 for a look"
    )
    arguments.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    return arguments


def _overhead(
    install: Install, wanted: Collection[str], options: argparse.Namespace
) -> dict[str, Any]:
    """What sampling, starting and the demo take; None for what is not wanted."""
    results: dict[str, Any] = dict.fromkeys(OVERHEAD)
    if "steps" in wanted:
        with tempfile.TemporaryDirectory(prefix="fvg-bench-") as base:
            results["steps"] = steps.measure(install, Path(base), options.share)
    if "start" in wanted:
        results["start"] = start.measure(install, max(2, round(4 * options.share)))
    if "demo" in wanted:
        warm = demo.measure_warm()
        results["demo"] = {"warm": warm, "cold": demo.measure_cold() if options.cold else None}
    return results


def main(words: list[str]) -> int:
    options = parser().parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that servers are stopped
    wanted = options.only or PARTS
    date = datetime.date.today().isoformat()
    folder = options.out or report.RESULTS / date
    try:
        install = prepare()
        results = {
            "date": date,
            "commit": describe_pack()["commit"],
            "command": f"`python -m benchmarks {' '.join(words)}".rstrip() + "`",
            "machine": machine.describe(install),
        }
        pages, paths = [], []
        if set(wanted) & set(OVERHEAD):
            found = results | _overhead(install, wanted, options)
            pages.append(report.table(found))
            paths += report.write(found, pages[-1], folder)
        if "training" in wanted:
            with tempfile.TemporaryDirectory(prefix="fvg-bench-") as base:
                found = results | {"training": training.measure(install, Path(base), options.share)}
            pages.append(training_report.table(found))
            paths += report.write(found, pages[-1], folder, "training")
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    print("\n".join(pages))
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
