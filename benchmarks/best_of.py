"""Does choosing among N candidates by score beat taking the first? On the tiny world.

`python -m benchmarks.best_of [--prompts 48]` draws 8 candidates for each held-out two-object
prompt through a real ComfyUI, has the Anchor Scorer score them, and judges what the best of the
first 1, 2, 4 and 8 shows. Scorer and judge read pictures by different means: the scorer
(fvg_core/tiny/glance.py) tells colours by hue and shapes by how much of their box they fill, the
judge (fvg_core/tiny/checker.py) colours by distance to the palette and shapes by overlap with ideal
silhouettes.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.composition import IMAGE_SAMPLING
from benchmarks.machine import describe
from dev.host import prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.image import pick, read_scores
from fvg_core.image.tiny_scoring import NOTHING_ELSE
from fvg_core.tiny.checker import check_frame
from fvg_core.tiny.world import SIZE, Scene, sample_scene

COUNTS = (1, 2, 4, 8)


def scenes(count: int) -> list[Scene]:
    """Held-out scenes of two objects; none was looked at to choose a setting."""
    rng = random.Random(2029)
    return [sample_scene(rng, 2, held_out=True) for _ in range(count)]


def graph(scene: Scene, seed: int) -> dict[str, Any]:
    """Candidates of a scene and their scores."""
    world = {name: ["world", i] for i, name in ((1, "model"), (2, "clip"), (3, "vae"))}
    nodes = {
        "world": ("FVGTinyWorldLoader", {}),
        "rewriter": (
            "FVGFirstFramePromptRewriter",
            {"prompt": scene.caption, "backend": "rules", "seed": 0},
        ),
        "drawn": (
            "FVGAnchorImageGenerator",
            {
                **world,
                **IMAGE_SAMPLING,
                "prompt": ["rewriter", 0],
                "negative": "",
                "width": SIZE,
                "height": SIZE,
                "candidates": max(COUNTS),
                "seed": seed,
            },
        ),
        "scorer": (
            "FVGAnchorScorer",
            {"images": ["drawn", 0], "report": ["rewriter", 2], "backend": "tiny world"},
        ),
        "scores": ("PreviewAny", {"source": ["scorer", 0]}),
    }
    return {name: {"class_type": kind, "inputs": given} for name, (kind, given) in nodes.items()}


def judge(client: ComfyClient, scene: Scene, seed: int) -> dict[str, Any]:
    """The scores of a scene's candidates, and which of them are right."""
    result = client.run(graph(scene, seed))
    questions, scored = read_scores(result.outputs["scores"]["text"][0])
    pictures = [
        np.array(Image.open(io.BytesIO(client.fetch(file))).convert("RGB"))
        for file in result.files("drawn")
    ]
    assert len(pictures) == len(scored) == max(COUNTS)
    asked = questions.index(NOTHING_ELSE) + 1  # what the judge looks at too; then comes the room
    return {
        "caption": scene.caption,
        "scores": [candidate["score"] for candidate in scored],
        "shown": [all(candidate["answers"][:asked]) for candidate in scored],
        "right": [check_frame(picture, scene) for picture in pictures],
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By N: share of right first frames when the best of N is taken, and when any would do."""
    table = {}
    for n in COUNTS:
        taken = [row["right"][pick(n, "best score", scores=row["scores"][:n])[0]] for row in rows]
        possible = [any(row["right"][:n]) for row in rows]
        error = float(np.std(taken, ddof=1) / len(taken) ** 0.5) if len(taken) > 1 else 0.0
        table[str(n)] = {
            "taken": float(np.mean(taken)),
            "ci95": 1.96 * error,
            "possible": float(np.mean(possible)),
        }
    return table


def agreement(rows: list[dict[str, Any]]) -> float:
    """Share of all candidates on which scorer and judge agree what they show."""
    same = [
        shown == right
        for row in rows
        for shown, right in zip(row["shown"], row["right"], strict=True)
    ]
    return float(np.mean(same))


def page(record: dict[str, Any]) -> str:
    """The record as a table a person reads."""
    lines = [
        f"# Best of N on the tiny world, {record['date']}",
        "",
        f"{len(record['rows'])} held-out prompts with two objects, rewritten by the rules, through "
        f"ComfyUI {record['machine']['comfyui']}, commit `{record['commit']}`. Share of first "
        "frames in which the judge finds every object's colour and shape, and nothing else; +- "
        "95% over prompts. *Possible*: some candidate of the N was right.",
        "",
        "| candidates | best score taken | possible |",
        "|---|---|---|",
        *(
            f"| {n} | {row['taken']:.2f} +- {row['ci95']:.2f} | {row['possible']:.2f} |"
            for n, row in record["table"].items()
        ),
        "",
        "Scorer and judge are different readings of the picture (see `benchmarks/best_of.py`), of "
        f"the same two properties; they agree on {record['agreement']:.3f} of all candidates. The "
        "scorer also asks whether what moves has room.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.best_of", description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    install = prepare()
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer(install, Path(base), only_pack=True) as server,
        ComfyClient(server.url) as client,
    ):
        rows = [judge(client, scene, 1000 * i) for i, scene in enumerate(scenes(options.prompts))]
    record = {
        "date": date,
        "machine": describe(install),
        "commit": describe_pack()["commit"],
        "sampling": IMAGE_SAMPLING,
        "agreement": agreement(rows),
        "table": summarise(rows),
        "rows": rows,
    }
    report.write(record, page(record), options.out or report.RESULTS / date, "best_of")
    print(json.dumps(record["table"], indent=1))


if __name__ == "__main__":
    main()
