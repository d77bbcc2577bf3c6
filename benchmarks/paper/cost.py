"""What FVG in 15 steps costs, anchor included, against T2V in 50: operations and wall clock."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.figures import BRACKETS, ratios, summarise
from benchmarks.paper.graphs import Graph, ways_graph
from benchmarks.paper.tables import counted
from benchmarks.paper.ways import FEW, FVG, IMAGE_SAMPLING, T2V, Cell, Words, key
from fvg_core.bench.client import ComfyClient
from fvg_core.tiny.render import FRAMES

CLOCKED: tuple[Cell, Cell] = ((T2V, 50), (FVG, FEW))
PAPER_SECONDS = (210, 99)  # 3'30 and 1'39, section 5.3
FROM = 2 * 10**9  # its seeds, far from those of the tables
_BRANCHES = 2  # guidance: with and without the prompt


def count(client: ComfyClient, words: Words, file: str) -> dict[str, int]:
    """Operations of one call of each part, counted by torch on the models themselves."""
    graph = Graph(words, file)
    graph.add(
        "count", "FVGBenchFlops", model=graph.model, image_model=graph.image, clip=graph.clip,
        vae=graph.vae, frame=graph.file, length=FRAMES, prompt=words.original,
    )  # fmt: skip
    return json.loads(client.run(graph.nodes).outputs["count"]["text"][0])


def totals(parts: dict[str, int]) -> dict[str, dict[str, int]]:
    """Operations of a whole video, by part, of T2V and of FVG with one candidate.

    Video and empty prompt are encoded for both; the first frame's prompt and its own empty one for
    FVG. The LoRA is merged into the weights by the host and costs nothing more.
    """
    of_video = lambda steps: {
        "text": _BRANCHES * parts["text"],
        "video model": _BRANCHES * steps * parts["video"],
        "decode": parts["decode video"],
    }
    fvg = of_video(FEW)
    fvg["text"] += _BRANCHES * parts["text"]
    fvg["image model"] = _BRANCHES * IMAGE_SAMPLING["steps"] * parts["image"]
    fvg["anchor, decoded and encoded"] = parts["decode image"] + parts["encode"]
    return {T2V: of_video(50), FVG: fvg}


def clock(client: ComfyClient, words: list[Words], files: list[str]) -> dict[str, list[float]]:
    """Seconds of one video from its prompt, by cell, both in turn for each prompt; the first
    pair, which loads the models, is left out."""
    seconds: dict[str, list[float]] = {key(cell): [] for cell in CLOCKED}
    for i, (said, file) in enumerate(zip(words, files, strict=True)):
        for cell in CLOCKED:
            graph = ways_graph(said, file, FROM + i, 1, [cell])
            taken = client.run(graph.nodes).seconds
            if i:
                seconds[key(cell)].append(taken)
    return seconds


def markdown(cost: dict[str, Any]) -> str:
    """The table of both."""
    whole = totals(cost["flops of one call"])
    names = list(dict.fromkeys(part for parts in whole.values() for part in parts))
    sums = {way: sum(parts.values()) for way, parts in whole.items()}
    slow, fast = (cost["seconds"][key(cell)] for cell in CLOCKED)
    lines = [
        "## Cost of one video",
        "",
        f"Operations counted by `torch.utils.flop_counter` on the models in ComfyUI, guidance "
        f"included; seconds from the prompt to the saved frames, {counted(len(slow), 'pair')} in "
        f"turn: medians, {BRACKETS}. {FVG}: rewriter, one anchor of {IMAGE_SAMPLING['steps']} "
        f"steps, {FEW} video steps. "
        "The rewriter is `rules`, which asks no model: its time is in the seconds, and it has no "
        "operations to count.",
        "",
        f"| | {T2V}, 50 steps | {FVG}, {FEW} steps | {T2V} / {FVG} |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name}, GFLOP | " + " | ".join(f"{whole[w].get(name, 0) / 1e9:.2f}" for w in whole)
        + " | |"
        for name in names
    ]  # fmt: skip
    paper = PAPER_SECONDS[0] / PAPER_SECONDS[1]
    lines += [
        f"| **all, GFLOP** | {sums[T2V] / 1e9:.2f} | {sums[FVG] / 1e9:.2f} | "
        f"{sums[T2V] / sums[FVG]:.2f} |",
        f"| **seconds** | {summarise(slow).text(2)} | {summarise(fast).text(2)} | "
        f"{ratios(slow, fast).text(2)} (paper: {paper:.1f}) |",
    ]
    return "\n".join([*lines, ""])
