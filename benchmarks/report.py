"""A dated folder with the figures: `overhead.json`, say, and the page of it, `overhead.md`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import BRACKETS, Figure

RESULTS = Path(__file__).parent / "results"
WRAPPER_GOAL, LOAD_GOAL_S, WARM_GOAL_S = 1.01, 0.050, 60.0
GARBAGE = (
    "* Python looks through all objects when enough new ones have come: those of the host, at "
    "whatever moment the count is full. A pack that loads then only meets it."
)

# (figure, what it says, its goal)
RATIOS = (
    ("noise", "KSampler / itself: the noise of this run", None),
    ("plain", "our sampler without anchor / KSampler", WRAPPER_GOAL),
    ("plain_around", "- around the model, by the own clock*", WRAPPER_GOAL),
    ("anchored", "our sampler, anchored / without anchor", None),
    ("modulation", "- the host alone: its bare model*, t of (B, F) / t of (B,)", None),
    ("modulation_in_place", "- the host alone: the model's forward* inside our sampler", None),
    ("anchored_around", "our sampler, anchored, around the model, by the own clock*", WRAPPER_GOAL),
    ("shown", "our sampler, with its preview / without", None),
    ("shown_around", "- around the model, by the own clock*", None),
    ("everything", "our sampler, anchored, with preview / (KSampler x the host's share)", None),
)


def table(results: dict[str, Any]) -> str:
    """The Markdown page of a result."""
    lines = ["# What the pack costs", "", *preamble(results)]
    if results["steps"]:
        lines += ["", *_steps(results["steps"])]
    if results["start"]:
        lines += ["", *_start(results["start"])]
    if results["demo"]:
        lines += ["", *_demo(results["demo"])]
    return "\n".join(lines) + "\n"


def preamble(results: dict[str, Any]) -> list[str]:
    """When, with what and on what it was measured, and how figures are written."""
    machine = results["machine"]
    return [
        f"{results['date']}, commit `{results['commit']}`, {results['command']}.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"GPU: {machine['gpu'] or 'none'}; {machine['system']}, Python {machine['python']}, "
        f"torch {machine['torch']}, ComfyUI {machine['comfyui']}. "
        f"Load average at the start: {machine['load_average']}.",
        "",
        f"Medians; {BRACKETS}. Ratios are of neighbours in time, taken in turns in one run.",
    ]


def _steps(cases: dict[str, Any]) -> list[str]:
    titles = [f"{name}: {_model(data)}" for name, data in cases.items()]
    lines = [
        "## A sampling step",
        "",
        "| Ratio | " + " | ".join(titles) + " | Goal |",
        "| --- |" + " --- |" * (len(cases) + 1),
    ]
    for key, text, goal in RATIOS:
        cells = [Figure(**data["ratios"][key]).text() for data in cases.values()]
        lines.append(f"| {text} | {' | '.join(cells)} | {f'<= {goal}' if goal else ''} |")
    lines += ["", "| Milliseconds a step | " + " | ".join(cases) + " |"]
    lines.append("| --- |" + " --- |" * len(cases))
    for key in next(iter(cases.values()))["milliseconds"]:
        cells = [Figure(**data["milliseconds"][key]).text(2) for data in cases.values()]
        lines.append(f"| {_part(key)} | {' | '.join(cells)} |")
    lines += [
        "",
        "KSampler shows no preview here (the host's default); ours is measured without its "
        "preview unless it says so. * The own clock is the CPU time of the sampling thread (on a "
        "GPU: the wall clock). Around the model: 1 + (ours - KSampler's) / step, both without the "
        "model's forward; free of its noise, blind to other threads, such as the preview's "
        "encoding.",
    ]
    return lines


def _model(data: dict[str, Any]) -> str:
    case = data["case"]
    width = f"dim {case['dim']} x {case['layers']}" if case["dim"] else "the tiny world's Wan"
    latent = " x ".join(map(str, data["latent"][1:]))
    return f"{width}, latent {latent}, CFG {case['cfg']:g}, {data['device']}"


def _part(key: str) -> str:
    part, variant = key.split()
    what = {"step": "whole step", "around": "around the model"}
    which = {
        "stock": "KSampler",
        "plain": "ours without anchor",
        "anchored": "ours, anchored",
        "shown": "ours, anchored, with preview",
    }
    return f"{what[part]}, {which[variant]}"


def _start(start: dict[str, Any]) -> list[str]:
    goal = f"{LOAD_GOAL_S:.3f}"
    rows = (
        ("the host loads the pack, CPU time without garbage collection", "load_s", f"<= {goal}"),
        ("- collections* that begin meanwhile, CPU time", "load_collections_s", ""),
        ("all collections* of a start with the pack, CPU time", "collections_with_s", ""),
        ("all collections* of a start without any pack, CPU time", "collections_without_s", ""),
        ("start with the pack", "start_with_s", ""),
        ("start without any pack", "start_without_s", ""),
        ("difference of neighbouring starts", "difference_s", f"<= {goal}"),
    )
    lines = ["## The host's start", "", "| Seconds | | Goal |", "| --- | --- | --- |"]
    lines += [f"| {text} | {Figure(**start[key]).text()} | {goal} |" for text, key, goal in rows]
    lines += ["", GARBAGE]
    lines += ["", "| Module | Own milliseconds (`-X importtime`) |", "| --- | --- |"]
    return lines + [f"| {name} | {ms} |" for name, ms in start["modules"].items()]


def _demo(demo: dict[str, Any]) -> list[str]:
    rows = [("warm, second run", demo["warm"]["second"], f"<= {WARM_GOAL_S:.0f}")]
    if demo["cold"]:
        whole = {**demo["cold"]["first"], "whole_s": demo["cold"]["whole_s"]}
        rows.append(("cold: clone, install, run", whole, ""))
    lines = ["## `make demo`", "", "| Seconds | whole | start | run | Goal |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for text, run, goal in rows:
        values = (f"{run[key]:.1f}" for key in ("whole_s", "start_s", "run_s"))
        lines.append(f"| {text} | {' | '.join(values)} | {goal} |")
    return lines


def write(results: dict[str, Any], page: str, folder: Path, name: str = "overhead") -> list[Path]:
    """Put `<name>.json` and `<name>.md`, its page, into `folder`; each appears whole or not at
    all."""
    texts = {f"{name}.json": json.dumps(results, indent=1) + "\n", f"{name}.md": page}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as name:
        for file, text in texts.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        return [(Path(name) / file).replace(folder / file) for file in texts]
