"""`python -m benchmarks`: measure what the pack costs and record it (`make bench`)."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import demo, machine, report, start, steps
from dev.host import prepare
from dev.recipe import describe_pack
from fvg_core.errors import FVGError

PARTS = ("steps", "start", "demo")


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--only", choices=PARTS, action="append", help="measure only this part")
    arguments.add_argument("--cold", action="store_true", help="a fresh clone too (minutes, 6 GB)")
    arguments.add_argument(
        "--share", type=float, default=1.0, help="of the usual repetitions, e.g. 0.2 for a look"
    )
    arguments.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    return arguments


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
            "steps": None,
            "start": None,
            "demo": None,
        }
        if "steps" in wanted:
            with tempfile.TemporaryDirectory(prefix="fvg-bench-") as base:
                results["steps"] = steps.measure(install, Path(base), options.share)
        if "start" in wanted:
            results["start"] = start.measure(install, max(2, round(4 * options.share)))
        if "demo" in wanted:
            warm = demo.measure_warm()
            results["demo"] = {"warm": warm, "cold": demo.measure_cold() if options.cold else None}
        paths = report.write(results, folder)
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    print(report.table(results))
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
