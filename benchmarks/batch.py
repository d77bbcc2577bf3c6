"""Long batches on the tiny world: whole nights with kills, and what the command itself costs.

`python -m benchmarks.batch night` sends 500 prompts to two servers; each of them and the command
are killed five times at random. `suite` makes the 1,400 videos of the layout of T2V-CompBench (the
prompts are the tiny world's own) and kills the server and the command in the middle. Both look
into every video at the end. `speed` measures the command itself: phases, one server or two, long
lists. `--work DIR` keeps the folders; the same command goes on there.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import batch_speed, report
from benchmarks.batch_check import check, made_again
from benchmarks.batch_runs import (
    CHEAP,
    CLIENT,
    Client,
    Kills,
    captions,
    finished,
    rendered,
    run,
    scratch,
    servers,
)
from benchmarks.machine import describe
from dev.host import Install, prepare
from dev.recipe import describe_pack
from fvg_core.bench.client import ComfyClient
from fvg_core.categories import CATEGORIES
from fvg_core.errors import FVGError

Json = dict[str, Any]
AGAIN = 20  # videos made anew, to compare


def night(install: Install, base: Path, count: int, kills: int) -> Json:
    """`count` prompts, two servers and a client that are each killed `kills` times."""
    prompts = captions(count)
    listed = base / "prompts.txt"
    listed.write_text("\n".join(prompts), encoding="utf-8")
    plan = Kills.at_random(2 * count, 2, kills)  # in both phases: anchors, then videos
    return _long_run(install, base, [str(listed)], prompts, plan, 2)


def suite(install: Install, base: Path, count: int, kills: int) -> Json:
    """A tree of `count` videos in all seven categories; server and client killed half-way."""
    each = count // len(CATEGORIES)
    prompts = captions(each * len(CATEGORIES))
    folder = base / "prompts"
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(CATEGORIES):
        part = prompts[i * each : (i + 1) * each]
        (folder / f"{i + 1}_{name}.txt").write_text("\n".join(part), encoding="utf-8")
    middle = (finished(base / "out") + len(prompts)) // 2  # of what is left to do
    plan = Kills([(middle, victim) for victim in (0, CLIENT)] * kills)
    arguments = ["--suite", "t2v-compbench", "--prompts-dir", str(folder), "--interleave"]
    found = _long_run(install, base, arguments, prompts, plan, 1)
    tree = {p.relative_to(base / "out").as_posix() for p in (base / "out").rglob("*.mp4")}
    wanted = {f"video/{c}/{i:04d}.mp4" for c in CATEGORIES for i in range(1, each + 1)}
    if tree != wanted:
        found["wrong"].append(f"{len(tree ^ wanted)} names are not those of the suite")
    return found


def _long_run(
    install: Install, base: Path, arguments: list[str], prompts: list[str], kills: Kills, many: int
) -> Json:
    """Run to the end, or to a SIGTERM; what was done, and whether it is right."""
    stopped = False
    with servers(install, base, many) as hosts:
        urls = [host.url for host in hosts]
        client = Client(base / "out", urls, arguments, base / "client.log")
        before = client.finished()
        kills.plan = [kill for kill in kills.plan if kill[0] > client.finished()]
        seconds = 0.0
        try:
            seconds = run(client, hosts, kills)
        except SystemExit:
            stopped = True
    found = check(client.out, prompts)
    if not stopped:
        with servers(install, base / "undisturbed", 1) as (fresh,), ComfyClient(fresh.url) as plain:
            found["made_again"] = made_again(plain, client.out, AGAIN)
    return {
        **found,
        "asked": len(prompts),
        "done_before": before,
        "stopped_early": stopped,
        "seconds": round(seconds, 1),
        "client_starts": client.starts,
        "kills": kills.done,
        "rendered": rendered(base),
    }


def page(record: Json, rows: Iterable[str]) -> str:
    """The record as a person reads it: what was run and where, then `rows`."""
    machine = record["machine"]
    lines = [
        f"# {TITLES[record['what']]}, {record['date']}",
        "",
        f"Commit `{record['commit']}`, {record['command']}; {machine['cpu']}, "
        f"ComfyUI {machine['comfyui']}. Tiny template with {', '.join(record['settings'])}.",
        *([f"The machine: {record['note']}"] if record["note"] else ()),
        "",
        *rows,
    ]
    return "\n".join(lines)


def long_rows(found: Json) -> Iterator[str]:
    """What a long run came to."""
    names = [kill["killed"] for kill in found["kills"]]
    killed = ", ".join(f"{name} {names.count(name)} times" for name in sorted(set(names)))
    yield from (
        "| | |",
        "|---|---|",
        f"| prompts asked | {found['asked']} |",
        f"| of them done by an earlier start | {found.get('done_before', 0)} |",
        f"| works in the manifest, videos | {found['works']}, {found['videos']} |",
        f"| wrong | {'; '.join(found['wrong'][:5]) or 'nothing'} |",
        f"| killed (-9) | {killed or 'nobody'} |",
        f"| starts of the command | {found['client_starts']} |",
        f"| videos that servers made in all, with those that a kill lost | {found['rendered']} |",
    )
    if "made_again" in found:
        again = found["made_again"]
        yield (
            f"| {again['compared']} works made again on an undisturbed server | {again['same']} "
            f"the same in every pixel, the others within {again['smallest_psnr_db']} dB PSNR |"
        )
    if found["stopped_early"]:
        yield "| ended | by hand, before the list was through |"
    yield from (
        f"| seconds | {found['seconds']:.0f} |",
        "",
        "*Wrong* would name works that are in the manifest twice, prompts that are missing, files "
        "whose bytes are not the manifest's, videos with another number or size of frames, and "
        "videos that carry another graph than the manifest or were made of another prompt. Sums "
        "of floats differ in their last bits from process to process, and the video encoder makes "
        "more of it: so works made again are alike, and not always the same.",
        "",
    )


TITLES = {
    "night": "A long batch with kills",
    "suite": "A suite in one go",
    "speed": "What a batch costs besides the models",
}
# what -> (how it is measured, prompts, kills of each, what a person reads of it)
RUNS: dict[str, tuple[Callable[..., Json], int, int, Callable[[Json], Iterator[str]]]] = {
    "night": (night, 500, 5, long_rows),
    "suite": (suite, 1400, 1, long_rows),
    "speed": (batch_speed.speed, 24, 5, batch_speed.rows),
}


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with scratch() as base:
            yield base
    else:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("--prompts", type=int, help="fewer than usual, for a look")
    parser.add_argument("--times", type=int, help="of kills for each, or of repetitions")
    parser.add_argument("--work", type=Path, help="folder of the run, kept")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    options = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is reached is recorded
    measure, count, times, rows = RUNS[options.what]
    date = datetime.date.today().isoformat()
    try:
        install = prepare()
        machine = describe(install)
        count = options.prompts or count
        times = times if options.times is None else options.times
        with _folder(options.work) as base:
            found = measure(install, base.resolve(), count, times)
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    record = {
        "what": options.what,
        "date": date,
        "commit": describe_pack()["commit"],
        "command": f"`python -m benchmarks.batch {options.what}`",
        "settings": CHEAP,
        "machine": machine,
        "note": options.note,
        "found": found,
    }
    text = page(record, rows(found))
    report.write(record, text, options.out or report.RESULTS / date, f"batch_{options.what}")
    print(text)
    return 1 if found.get("wrong") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
