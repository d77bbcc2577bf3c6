"""The Markdown page of what training costs."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figure
from benchmarks.report import preamble
from benchmarks.training_graphs import LEARNING_RATE, OURS, OURS_STEPWISE, RANK

# How many times faster ours shall be: where overhead dominates, and elsewhere.
FASTER_GOALS, FASTER_GOAL, MEMORY_GOAL = {"tiny": 1.5}, 1.0, 1.0

NOTES = f"""\
Both trainers have the same MODEL, latents, captions, rank ({RANK}), AdamW at {LEARNING_RATE:g} and
LoRA in fp32, and run as nodes of one server each, in turns. Timed are whole steps as the host's
progress bar tells them, from the third on, so with everything that a trainer does between them.
"Faster" is its time over ours in neighbouring runs, by the process's CPU time on a CPU and by the
wall on a GPU. Memory is the most in use beyond what the process used before the trainer began (on
a GPU: by its tensors), from loading the copy of the model to the last step, in the first run of a
fresh server. On a CPU that includes the libraries that a trainer imports.

What differs. Ours draws anchors and so a time for each frame, masks its loss, clips gradients,
writes a history and tells the page. It puts LoRAs on the linear layers; the host's puts them on
every layer, with a difference for each bias and norm. By default the host's makes every weight
anew from its LoRA, and so computes gradients the size of weights; with bypass_mode its LoRAs are
branches beside the layers, as ours. Its batch_size of 4 runs every latent with every caption: 16
passes for 4 samples. "Accumulating" takes the samples of a step one by one; compare ours to that
for equal work. Gradient checkpointing is by blocks on both sides (checkpoint_depth 2; the host's
default, 1, recomputes the whole model at once)."""


def table(results: dict[str, Any]) -> str:
    """The page of a result whose part `training` was measured."""
    training = results["training"]
    lines = ["# What training costs", "", *preamble(results), "", "## Against the host's trainer"]
    lines += ["", NOTES]
    for size in dict.fromkeys(c["case"]["size"]["name"] for c in training["against"]):
        cases = [c for c in training["against"] if c["case"]["size"]["name"] == size]
        lines += ["", *_against(cases)]
    lines += ["", *_caching(training["caching"]), "", *_keeping(training["keeping"])]
    return "\n".join(lines) + "\n"


def _against(cases: list[dict[str, Any]]) -> list[str]:
    size = cases[0]["case"]["size"]
    goal = FASTER_GOALS.get(size["name"], FASTER_GOAL)
    lines = [
        f"### {_model(size)}, {cases[0]['device']}",
        "",
        "| dtype, blocks, batch | trainer | samples/s, wall | ms a step | ours is faster | by the "
        f"wall | goal >= {goal:g} | memory, MB | ours / its | goal <= {MEMORY_GOAL:g} |",
        "| --- |" + " --- |" * 9,
    ]
    for case in cases:
        what = case["case"]
        kept = "checkpointed" if what["gradient_checkpointing"] else "kept"
        for side, data in case["sides"].items():
            first = f"{what['dtype']}, {kept}, {what['batch']}" if side == OURS else ""
            cells = [first, side, Figure(**data["samples_per_s"]).text(2)]
            cells += [Figure(**data["step_ms"]).text(1)]
            ours = side in (OURS, OURS_STEPWISE)
            cells += ["", "", "", _used(data), "", ""] if ours else _compared(data, goal)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _compared(data: dict[str, Any], goal: float) -> list[str]:
    faster, smaller = data["ours_faster"], data["memory_of_ours"]
    word = lambda met: "met" if met else "missed"
    known = smaller is not None
    return [
        Figure(**faster).text(2),
        Figure(**data["ours_faster_wall"]).text(2),
        word(faster["median"] >= goal),
        _used(data),
        f"{smaller:.2f}" if known else "",
        word(smaller <= MEMORY_GOAL) if known else "",
    ]


def _used(data: dict[str, Any]) -> str:
    used = data["memory_mb"]
    return "unknown" if used is None else f"{max(used['loading'], used['steps']):.0f}"


def _model(size: dict[str, Any]) -> str:
    width = f"dim {size['dim']} x {size['layers']}" if size["dim"] else "the tiny world's Wan"
    return f"{size['name'].capitalize()}: {width}, {size['length']} frames of {size['pixels']}²"


def _caching(cases: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Cached clips",
        "",
        "The same training with latents and texts from the cache, and with every sample decoded "
        "and encoded (the tiny world's VAE and text encoder) when it is read.",
        "",
        "| Milliseconds | cached step | step, encoded anew | encoding a sample | anew / cached |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        texts = [
            Figure(**case[key]).text(digits)
            for key, digits in (
                ("cached_ms", 1), ("anew_ms", 1), ("encoding_a_sample_ms", 1),
                ("anew_over_cached", 2),
            )
        ]  # fmt: skip
        lines.append(f"| {case['name']} | {' | '.join(texts)} |")
    return lines


def _keeping(keeping: dict[str, Any]) -> list[str]:
    case = keeping["case"]
    lines = [
        "## Checkpoints and validation",
        "",
        f"{_model(case['size'])}, batch {case['batch']} one by one: what they add to the step "
        "they fall into, and what one of each in 250 steps, the default, adds to training. "
        "Validation measures the loss of 8 clips, and with a VAE samples a video of 15 steps.",
        "",
        "| Milliseconds | plain step | checkpoint | validation | share of training |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in ("losses", "videos"):
        data = keeping[kind]
        texts = [
            Figure(**data[key]).text(1) for key in ("step_ms", "checkpoint_ms", "validation_ms")
        ]
        lines.append(f"| {kind} | {' | '.join(texts)} | {100 * data['share_by_default']:.2f}% |")
    return lines
