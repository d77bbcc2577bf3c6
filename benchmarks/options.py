"""What helps an anchored video, of all that is off by default? The tiny world's scorer, paired.

`python -m benchmarks.options [--prompts 84]` animates the true first frame of held-out scenes of
every category through a real ComfyUI, once as the sampler does by default and once for each
candidate, with the same seeds. Writes `benchmarks/results/<date>/options.{jsonl,json,md}`.
Interrupt and run again: it goes on, unless sampling, weights, ComfyUI, torch or the code have
changed. `--again` tries the candidates that won on fresh scenes and writes `options_node.*`;
`options_again.*` is the record of a forerunner of the node Anchor Options.

A candidate wins where its difference from the default, over the scenes, is above 0 by more than
the interval: 95% for all candidates together (Bonferroni).
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import sys
import tempfile
from collections.abc import Collection, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import norm

from benchmarks import report
from benchmarks.kept import known_rows, made_with
from benchmarks.machine import describe
from benchmarks.paper.run import read_videos
from benchmarks.paper.ways import FEW, LORA
from benchmarks.paper.ways import SAMPLING as ANY_STEPS
from dev.host import Install, prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.categories import CATEGORIES
from fvg_core.colors import match_first_frame
from fvg_core.errors import FVGError
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.render import FRAMES, SIZE, render
from fvg_core.tiny.scenes import Scene, sample_scene
from fvg_core.tiny.scorer import composition, score

PACKS = Path(__file__).parent / "packs"
# What makes rows here, beside what makes all rows.
OWN = ("benchmarks/options.py", "benchmarks/paper/run.py", "benchmarks/paper/ways.py")
SAMPLING = {**ANY_STEPS, "steps": FEW}
SEEDS = 2
DEFAULT, COLORS_MATCHED = "default", "colours matched"
_BENCH = "FVGBenchCandidate"
# By candidate: what changes in the injector, in the sampler, and a node between the two.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, dict[str, Any]] | None]] = {
    DEFAULT: ({}, {}, None),
    "anchor_noise 0.1": ({"anchor_noise": 0.1}, {}, None),
    "anchor_noise 0.2": ({"anchor_noise": 0.2}, {}, None),
    "guidance, first half": ({}, {"guidance_end": 0.5}, None),
    "guidance, not the first quarter": ({}, {"guidance_start": 0.25}, None),
    "falling guidance": ({}, {}, (_BENCH, {"kind": "falling guidance"})),
    "rising guidance": ({}, {}, (_BENCH, {"kind": "rising guidance"})),
    "negative without anchor": ({}, {}, ("FVGAnchorOptions", {"negative_without_anchor": True})),
    "low-pass": ({}, {}, (_BENCH, {"kind": "low-pass"})),
    "less attention": ({}, {}, (_BENCH, {"kind": "less attention"})),
}
# Of a second look at what won: other scenes, other seeds of the sampler.
AGAIN = ("negative without anchor", "rising guidance")
SCENES, SCENES_AGAIN = 2031, 4711
FIRST, FIRST_AGAIN = 0, 5000
FIGURES = ("score", "scene", "psnr", "shift")
BETTER = {"score": 1, "scene": 1, "psnr": 1, "shift": -1}


def scenes(count: int, seed: int) -> list[Scene]:
    """Held-out scenes of the categories in turn; none was looked at to choose a setting."""
    rng = random.Random(seed)
    return [sample_scene(rng, c, held_out=True) for c in islice(cycle(CATEGORIES), count)]


def asked(scene: Scene) -> str:
    """A scene's prompt in the plainest words."""
    return text(prompt_spans(scene.prompt))


def graph(
    anchor_file: str, scene: Scene, seed: int, variants: Collection[str] = VARIANTS
) -> tuple[dict[str, Any], dict[str, str]]:
    """The variants on one scene, SEEDS videos each, and the save node of each."""
    nodes: dict[str, Any] = {}

    def add(name: str, class_type: str, **inputs: Any) -> str:
        nodes[name] = {"class_type": class_type, "inputs": inputs}
        return name

    add("world", "FVGTinyWorldLoader")
    add("lora", "LoraLoaderModelOnly", model=["world", 0], lora_name=LORA, strength_model=1.0)
    add("positive", "CLIPTextEncode", clip=["world", 2], text=asked(scene))
    add("negative", "CLIPTextEncode", clip=["world", 2], text="")
    add("anchor", "LoadImage", image=anchor_file)
    saves = {}
    for variant in variants:
        injected, sampled, option = VARIANTS[variant]
        anchor = {"image": ["anchor", 0], "frame": "first", "pixel_frame": 0, "fit": "crop"}
        size = {"width": SIZE, "height": SIZE, "length": FRAMES, "batch_size": SEEDS}
        anchor |= {"anchor_noise": 0.0, **injected}
        world = {"model": ["lora", 0], "vae": ["world", 3]}
        add(f"{variant}/inject", "FVGAnchorLatentInjector", **world, **size, **anchor)
        model = f"{variant}/inject"
        if option:
            model = add(f"{variant}/option", option[0], model=[model, 0], **option[1])
        given = {"model": [model, 0], "latent": [f"{variant}/inject", 1], "seed": seed}
        given |= {"positive": ["positive", 0], "negative": ["negative", 0]}
        add(f"{variant}/sample", "FVGAnchoredWanSampler", **given, **{**SAMPLING, **sampled})
        add(f"{variant}/decode", "VAEDecode", samples=[f"{variant}/sample", 0], vae=["world", 3])
        saves[variant] = add(
            f"{variant}/save", "SaveAnimatedWEBP", images=[f"{variant}/decode", 0],
            filename_prefix="options", fps=8.0, lossless=True, quality=100, method="fastest",
        )  # fmt: skip
    return nodes, saves


def judge(
    client: ComfyClient, scene: Scene, index: int, variants: Collection[str] = VARIANTS
) -> dict[str, Any]:
    """Run one scene. Returns per variant the means over SEEDS videos of FIGURES."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / f"option_anchor_{index:04d}.png"
        Image.fromarray(render([scene], [0])[0, 0].numpy()).save(picture)
        anchor_file = client.upload_image(picture)
    prompt, saves = graph(anchor_file, scene, 1000 * index, variants)
    result = client.run(prompt)
    truth = render([scene])[0].numpy()
    found = {}
    for variant, node in saves.items():
        videos = read_videos(client.fetch(result.files(node)[0]))
        found[variant] = figures(videos, scene, truth)
        if variant == DEFAULT:
            matched = [match_colors(video) for video in videos]
            found[COLORS_MATCHED] = figures(matched, scene, truth)
    return {"index": index, "caption": asked(scene), "variants": found}


def match_colors(video: np.ndarray) -> np.ndarray:
    """uint8 pixels [F, H, W, 3] as First-Frame Color Match gives them."""
    matched = match_first_frame(torch.from_numpy(video) / 255)
    return (matched * 255).round().to(torch.uint8).numpy()


def figures(videos: Sequence[np.ndarray], scene: Scene, truth: np.ndarray) -> dict[str, float]:
    """score: of all that the prompt says; scene: of who is there, whatever happens; psnr: of frames
    1.. against the drawn clip, dB; shift: of the mean colour, after frame 0, in levels of 255."""
    difference = [video[1:].astype(np.float64) - truth[1:] for video in videos]
    means = [video.astype(np.float64).mean((1, 2)) for video in videos]
    return {
        "score": float(np.mean([score(video, scene.prompt) for video in videos])),
        "scene": float(np.mean([composition(video, scene.prompt) for video in videos])),
        "psnr": float(np.mean([10 * np.log10(255**2 / (d**2).mean()) for d in difference])),
        "shift": float(np.mean([np.abs(m[1:] - m[0]).mean() for m in means])),
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By variant and figure: its mean, the paired difference from the default, its interval."""
    candidates = [name for name in rows[0]["variants"] if name != DEFAULT]
    z = norm.ppf(1 - 0.025 / len(candidates))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name in (DEFAULT, *candidates):
        for figure in FIGURES:
            pairs = [(r["variants"][name][figure], r["variants"][DEFAULT][figure]) for r in rows]
            values, defaults = np.array(pairs).T
            gain = values - defaults
            error = float(np.std(gain, ddof=1) / len(gain) ** 0.5) if len(gain) > 1 else 0.0
            table.setdefault(name, {})[figure] = {
                "mean": float(values.mean()),
                "difference": float(gain.mean()),
                "interval": float(z * error),
            }
    return table


def wins(table: dict[str, dict[str, dict[str, float]]], name: str) -> dict[str, int]:
    """By figure: 1 where a variant is better than the default beyond the interval, -1 worse, 0."""
    return {
        figure: int(np.sign(cell["difference"])) * BETTER[figure]
        if abs(cell["difference"]) > cell["interval"]
        else 0
        for figure, cell in table[name].items()
    }


def page(record: dict[str, Any]) -> str:
    """The record as a table a person reads."""
    lines = [
        f"# Options of anchored sampling on the tiny world, {record['date']}",
        "",
        f"{record['prompts']} held-out scenes, true first frame and LoRA, {SEEDS} "
        f"seeds each, {SAMPLING['steps']} steps, cfg {SAMPLING['cfg']}, through ComfyUI "
        f"{record['machine']['comfyui']}, commit `{record['commit']}`. Differences from the "
        "default on the same scenes and seeds, +- 95% for all candidates together; **bold** where "
        "it is better beyond that, *italic* where worse.",
        "",
        "| | score | of the scene alone | PSNR against the drawn clip, dB | colour shift |",
        "|---|---|---|---|---|",
    ]
    for name, row in record["table"].items():
        if name == DEFAULT:
            cells = [f"{row[figure]['mean']:.3f}" for figure in FIGURES]
        else:
            marks = wins(record["table"], name)
            cells = [_cell(row[figure], marks[figure]) for figure in FIGURES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cell(cell: dict[str, float], mark: int) -> str:
    text = f"{cell['difference']:+.3f} +- {cell['interval']:.3f}"
    return {1: f"**{text}**", -1: f"*{text}*", 0: text}[mark]


def head_of(machine: dict[str, Any]) -> dict[str, Any]:
    """What all rows of a file must have in common."""
    return {**made_with(machine, OWN), "sampling": SAMPLING, "seeds": SEEDS}


def measure(
    install: Install,
    done: Path,
    todo: dict[int, Scene],
    variants: Collection[str],
    head: dict[str, Any],
) -> list[dict[str, Any]]:
    """All rows of `done`: those that are there, and the missing ones of the scenes by index."""
    rows = known_rows(done, head)
    known = {row["index"] for row in rows}
    missing = {index: scene for index, scene in todo.items() if index not in known}
    if missing:
        with (
            tempfile.TemporaryDirectory() as base,
            ComfyServer(install, Path(base), custom_nodes=[PACKS], only_pack=True) as server,
            ComfyClient(server.url) as client,
            done.open("a", encoding="utf-8") as out,
        ):
            for index, scene in missing.items():
                rows.append(judge(client, scene, index, variants))
                out.write(json.dumps(rows[-1]) + "\n")
                out.flush()
                print(f"{len(rows)}/{len(todo)} {asked(scene)}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--prompts", type=int, help="scenes: 84, or 105 with --again")
    parser.add_argument("--again", action="store_true", help="what won, on fresh scenes")
    parser.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    done = (options.out or report.RESULTS / date) / (
        "options_node.jsonl" if options.again else "options.jsonl"
    )
    variants = (DEFAULT, *AGAIN) if options.again else VARIANTS
    count = options.prompts or (105 if options.again else 84)
    drawn = scenes(count, SCENES_AGAIN if options.again else SCENES)
    todo = dict(enumerate(drawn, FIRST_AGAIN if options.again else FIRST))
    try:
        install = prepare()
        machine, commit = describe(install), describe_pack()["commit"]
        head = head_of(machine)
        rows = measure(install, done, todo, variants, head)
    except FVGError as error:
        sys.exit(f"error: {error}")
    record = {
        "date": date,
        "prompts": len(rows),
        "machine": machine,
        "commit": commit,
        **head,
        "table": summarise(rows),
    }
    report.write(record, page(record), done.parent, done.stem)
    print(page(record))


if __name__ == "__main__":
    main()
