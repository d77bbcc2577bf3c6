"""Does choosing among N candidates by score beat taking the first? On the tiny world.

`python -m benchmarks.best_of [--prompts 7]` draws 8 candidates for held-out prompts of every
category through a real ComfyUI, has the Anchor Scorer score them, and animates them all. Of the
best of the first 1, 2, 4 and 8 its video is judged (fvg_core/tiny/scorer.py), without frame 0: the
scorer reads pictures with the same eye, and could not be judged by the picture itself.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.machine import describe
from benchmarks.paper.graphs import Graph
from benchmarks.paper.run import Item, read_videos
from benchmarks.paper.tables import interval
from benchmarks.paper.ways import FEW, FVG, IMAGE_SAMPLING, SAMPLING, WAYS
from dev.host import prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.categories import CATEGORIES
from fvg_core.image import pick, read_scores
from fvg_core.tiny.scenes import sample_scene
from fvg_core.tiny.scorer import score

COUNTS = (1, 2, 4, 8)


def items(count: int) -> list[Item]:
    """`count` held-out scenes of each category; none was looked at to choose a setting."""
    return [
        Item(c, i, sample_scene(random.Random(f"best of {c} {i}"), c, held_out=True))
        for i in range(count)
        for c in CATEGORIES
    ]


def graph(item: Item) -> Graph:
    """Candidates of a scene, the videos of all, and the candidates' scores in the node `scores`."""
    made = Graph(item.words, anchor_file="")  # of which no node is asked for
    made.video(FVG, WAYS[FVG], FEW, item.seed, max(COUNTS))
    drawn = made.anchors("rewritten", item.seed, max(COUNTS))
    told = [made.rewritten()[0], 2]
    scored = made.add("scorer", "FVGAnchorScorer", images=drawn, report=told, backend="tiny world")
    made.add("scores", "PreviewAny", source=scored)
    return made


def judge(client: ComfyClient, item: Item) -> dict[str, Any]:
    """By candidate the score of the picture and that of the video."""
    asked = graph(item)
    result = client.run(asked.nodes)
    _, scored = read_scores(result.outputs["scores"]["text"][0])
    videos = read_videos(client.fetch(result.files(asked.saves[FVG])[0]))
    return {
        "prompt": item.words.original,
        "scores": [candidate["score"] for candidate in scored],
        "videos": [score(video, item.scene.prompt) for video in videos],
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By N: the mean score of the videos of the best of N, by how much it is above that of the
    first, with half of the 95% interval over prompts, and the mean of the best videos of N."""
    table = {}
    first = np.array([row["videos"][0] for row in rows])
    for n in COUNTS:
        picked = [pick(n, "best score", scores=row["scores"][:n])[0] for row in rows]
        taken = np.array([row["videos"][i] for row, i in zip(rows, picked, strict=True)])
        gain, wide = interval(taken - first)
        table[str(n)] = {
            "taken": float(taken.mean()),
            "gain": gain,
            "ci95": wide,
            "possible": float(np.mean([max(row["videos"][:n]) for row in rows])),
        }
    return table


def page(record: dict[str, Any]) -> str:
    """The record as a table a person reads."""
    lines = [
        f"# Best of N on the tiny world, {record['date']}",
        "",
        f"{len(record['rows'])} held-out prompts, of all categories alike, rewritten by the rules, "
        f"{FEW} steps, through ComfyUI {record['machine']['comfyui']}, commit "
        f"`{record['commit']}`. Mean score of the videos; the gain over the first candidate's is "
        "paired, +- 95% over prompts. *Possible*: the best video of the N.",
        "",
        "| candidates | best score taken | gain | possible |",
        "|---|---|---|---|",
        *(
            f"| {n} | {row['taken']:.2f} | {row['gain']:+.2f} +- {row['ci95']:.2f} "
            f"| {row['possible']:.2f} |"
            for n, row in record["table"].items()
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.best_of", description=__doc__)
    parser.add_argument("--prompts", type=int, default=7, help="of each category")
    parser.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    install = prepare()
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer(install, Path(base), only_pack=True) as server,
        ComfyClient(server.url) as client,
    ):
        rows = [judge(client, item) for item in items(options.prompts)]
    record = {
        "date": date,
        "machine": describe(install),
        "commit": describe_pack()["commit"],
        "sampling": {"video": {**SAMPLING, "steps": FEW}, "image": IMAGE_SAMPLING},
        "table": summarise(rows),
        "rows": rows,
    }
    report.write(record, page(record), options.out or report.RESULTS / date, "best_of")
    print(json.dumps(record["table"], indent=1))


if __name__ == "__main__":
    main()
