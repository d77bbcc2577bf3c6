"""`python -m benchmarks.paper [--quick]`: Tables 2 and 7, and parts of sections 4.1 and 6.1.

Every way runs through a real ComfyUI on held-out prompts of the tiny world's second edition, and is
scored from pixels. Writes `benchmarks/results/<date>/paper.{jsonl,json,md}`. Interrupt and run
again: it goes on.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence
from safetensors import safe_open

from benchmarks import report
from benchmarks.machine import describe
from benchmarks.paper.tables import markdown
from benchmarks.paper.ways import ALL_STEPS, IMAGE_SAMPLING, SAMPLING, Run, graph
from dev.host import PACK, prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.categories import CATEGORIES
from fvg_core.errors import WeightsError
from fvg_core.tiny.lab.captions import prompt_spans, text
from fvg_core.tiny.lab.render import FRAMES, SIZE, render
from fvg_core.tiny.lab.scenes import Scene, sample_scene
from fvg_core.tiny.lab.scorer import score
from fvg_core.tiny.lab.train.pipeline import EDITION

VIDEO = PACK / "fvg_core" / "tiny" / "weights" / "fvg_tiny_video.safetensors"

FULL, QUICK = (40, Run(3, ALL_STEPS)), (4, Run(1, (50, 15)))  # prompts of each category, and run


def scenes(count: int) -> list[tuple[str, int, Scene]]:
    """Held-out scenes, category by category in turn; no setting was chosen on them."""
    return [
        (category, i, sample_scene(random.Random(f"paper {category} {i}"), category, held_out=True))
        for i in range(count)
        for category in CATEGORIES
    ]


def judge(client: ComfyClient, scene: Scene, seed: int, run: Run) -> dict[str, list[float]]:
    """Run one scene. Returns by way and steps the scores of its videos."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / f"paper_{seed}.png"
        Image.fromarray(render([scene], [0])[0, 0].numpy()).save(picture)
        anchor_file = client.upload_image(picture)
    nodes, saves = graph(text(prompt_spans(scene.prompt)), anchor_file, seed, run)
    result = client.run(nodes)
    found = {}
    for (way, steps), node in saves.items():
        data = client.fetch(result.files(node)[0])
        pages = ImageSequence.Iterator(Image.open(io.BytesIO(data)))
        frames = np.stack([np.array(page.convert("RGB")) for page in pages])
        videos = frames.reshape(run.seeds, FRAMES, SIZE, SIZE, 3)
        found[f"{way}/{steps}"] = [score(video, scene.prompt) for video in videos]
    return found


def collect(rows: Path, count: int, run: Run) -> list[dict[str, Any]]:
    """All rows: those of the file, and the missing ones, which are added to it."""
    known = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    done = {(row["category"], row["index"]) for row in known}
    todo = [s for s in scenes(count) if s[:2] not in done]
    if todo:
        with (
            tempfile.TemporaryDirectory() as base,
            ComfyServer(prepare(), Path(base), only_pack=True) as server,
            ComfyClient(server.url) as client,
            rows.open("a") as out,
        ):
            for at, (category, i, scene) in enumerate(todo, start=1):
                seed = 1000 * i + CATEGORIES.index(category)
                scores = judge(client, scene, seed, run)
                known.append({"category": category, "index": i, "scores": scores})
                out.write(json.dumps(known[-1]) + "\n")
                out.flush()
                print(f"{at}/{len(todo)} {text(prompt_spans(scene.prompt))}", flush=True)
    return known


def require_second_edition(weights: Path) -> None:
    """Raises WeightsError where the pack's video model does not know these prompts."""
    with safe_open(weights, "pt") as file:
        edition = (file.metadata() or {}).get("edition", "1")
    if edition != EDITION:
        raise WeightsError(
            f"{weights.name} is of edition {edition} of the tiny world; these prompts are of "
            f"edition {EDITION}. Make its weights first: python -m fvg_core.tiny.lab train."
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few prompts, one seed, two steps")
    parser.add_argument("--prompts", type=int, help="of each category, in place of the plan")
    options = parser.parse_args()
    try:
        require_second_edition(VIDEO)
    except WeightsError as error:
        sys.exit(f"error: {error}")
    count, run = QUICK if options.quick else FULL
    count = options.prompts or count
    date = datetime.date.today().isoformat()
    folder = report.RESULTS / date
    folder.mkdir(parents=True, exist_ok=True)
    name = "paper-quick" if options.quick else "paper"
    rows = collect(folder / f"{name}.jsonl", count, run)
    record = {
        "date": date,
        "machine": describe(prepare()),
        "commit": describe_pack()["commit"],
        "prompts": count,
        "seeds": run.seeds,
        "sampling": SAMPLING,
        "image_sampling": IMAGE_SAMPLING,
    }
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    page = (
        f"# The paper's tables on the tiny world, {date}\n\n{count} held-out prompts of each "
        f"category x {run.seeds} seeds, through ComfyUI {record['machine']['comfyui']}, commit "
        f"`{record['commit']}`. Mean score ± 95% over prompts.\n\n{markdown(rows, run.steps)}"
    )
    (folder / f"{name}.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
