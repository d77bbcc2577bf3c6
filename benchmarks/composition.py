"""Does anchoring compose scenes better? The tiny world's checker on held-out prompts.

`python -m benchmarks.composition [--prompts 200]` runs every mode through a real ComfyUI and writes
`benchmarks/results/<date>/composition.{jsonl,json,md}`. Interrupt and run again: it goes on.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from benchmarks.machine import describe
from dev.host import prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.tiny.checker import check_frame, check_video
from fvg_core.tiny.world import FRAMES, SIZE, Scene, render, sample_scene

RESULTS = Path(__file__).parent / "results"
SEEDS = 3
SAMPLING = {
    "steps": 15,
    "cfg": 3.0,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "shift": 3.0,
}
IMAGE_SAMPLING = {
    "steps": 30,
    "cfg": 3.0,
    "sampler_name": "euler_ancestral",  # noise added anew repairs a missing or doubled object
    "scheduler": "simple",
}
# mode -> (anchor, LoRA)
MODES = {
    "T2V": (None, False),
    "T2V with the LoRA, no anchor": (None, True),
    "true anchor, no LoRA": ("true", False),
    "true anchor and LoRA": ("true", True),
    "FVG: generated anchor and LoRA": ("generated", True),
}


def scenes(count: int) -> list[Scene]:
    """Held-out scenes, one and two objects in turn; none was looked at to choose a setting."""
    rng = random.Random(2027)
    return [sample_scene(rng, 1 + i % 2, held_out=True) for i in range(count)]


def graph(scene: Scene, anchor_file: str, seed: int) -> tuple[dict[str, Any], dict[str, str]]:
    """All modes on one scene, SEEDS videos each. Returns the prompt and its save node by mode."""
    nodes: dict[str, Any] = {}

    def add(name: str, class_type: str, **inputs: Any) -> str:
        nodes[name] = {"class_type": class_type, "inputs": inputs}
        return name

    add("world", "FVGTinyWorldLoader")
    lora = "fvg_tiny_anchor_lora.safetensors"
    add("lora", "LoraLoaderModelOnly", model=["world", 0], lora_name=lora, strength_model=1.0)
    rewriter = {"prompt": scene.caption, "backend": "rules", "seed": 0}
    add("rewriter", "FVGFirstFramePromptRewriter", **rewriter)
    add("positive", "CLIPTextEncode", clip=["world", 2], text=["rewriter", 1])
    add("negative", "CLIPTextEncode", clip=["world", 2], text="")
    add("true", "LoadImage", image=anchor_file)
    add("three true", "RepeatImageBatch", image=["true", 0], amount=SEEDS)
    add(
        "generated",
        "FVGAnchorImageGenerator",
        model=["world", 1],
        clip=["world", 2],
        vae=["world", 3],
        prompt=["rewriter", 0],
        negative="",
        width=SIZE,
        height=SIZE,
        candidates=SEEDS,
        seed=seed,
        **IMAGE_SAMPLING,
    )
    size = {"width": SIZE, "height": SIZE, "length": FRAMES}
    add("empty", "EmptyHunyuanLatentVideo", **size, batch_size=SEEDS)
    saves = {}
    for mode, (anchor, with_lora) in MODES.items():
        model, latent = ["lora", 0] if with_lora else ["world", 0], ["empty", 0]
        if anchor:
            add(
                f"{mode}/inject",
                "FVGAnchorLatentInjector",
                model=model,
                vae=["world", 3],
                image=["three true" if anchor == "true" else "generated", 0],
                frame="first",
                pixel_frame=0,
                batch_size=1,
                fit="crop",
                anchor_noise=0.0,
                **size,
            )
            model, latent = [f"{mode}/inject", 0], [f"{mode}/inject", 1]
        prompts = {"positive": ["positive", 0], "negative": ["negative", 0]}
        sampling = {"model": model, "latent": latent, "seed": seed, **prompts, **SAMPLING}
        add(f"{mode}/sample", "FVGAnchoredWanSampler", **sampling)
        add(f"{mode}/decode", "VAEDecode", samples=[f"{mode}/sample", 0], vae=["world", 3])
        saves[mode] = add(
            f"{mode}/save",
            "SaveAnimatedWEBP",
            images=[f"{mode}/decode", 0],
            filename_prefix="composition",
            fps=8.0,
            lossless=True,
            quality=100,
            method="fastest",
        )
    return nodes, saves


def judge(client: ComfyClient, scene: Scene, index: int) -> dict[str, Any]:
    """Run one scene. Returns per mode the verdicts of SEEDS videos."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / f"anchor_{index:04d}.png"
        Image.fromarray(render([scene], [0])[0, 0].numpy()).save(picture)
        anchor_file = client.upload_image(picture)
    prompt, saves = graph(scene, anchor_file, seed=1000 * index)
    result = client.run(prompt)
    modes = {}
    for mode, node in saves.items():
        data = client.fetch(result.files(node)[0])
        pages = ImageSequence.Iterator(Image.open(io.BytesIO(data)))
        frames = np.stack([np.array(page.convert("RGB")) for page in pages])
        videos = frames.reshape(SEEDS, FRAMES, SIZE, SIZE, 3)
        verdicts = [check_video(v, scene) for v in videos]
        modes[mode] = {
            "objects": [[o.correct for o in v.objects] for v in verdicts],
            "videos": [v.correct for v in verdicts],
            "first_frames": [check_frame(v[0], scene) for v in videos],
        }
    return {"index": index, "caption": scene.caption, "objects": len(scene.things), "modes": modes}


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Shares with 95% intervals over prompts (1.96 standard errors), by mode and object count."""
    table: dict[str, dict[str, Any]] = {}
    for mode in MODES:
        for count in (1, 2):
            chosen = [r["modes"][mode] for r in rows if r["objects"] == count]
            table.setdefault(mode, {})[str(count)] = {
                "objects": _share([np.mean(m["objects"]) for m in chosen]),
                "videos": _share([np.mean(m["videos"]) for m in chosen]),
                "first_frames": _share([np.mean(m["first_frames"]) for m in chosen]),
            }
    return table


def _share(values: list[float]) -> dict[str, float]:
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "ci95": 1.96 * error}


def check_the_checker(chosen: list[Scene]) -> dict[str, float]:
    """Objects found correct on ground truth, and under another scene's caption."""
    right, wrong = [], []
    for i, scene in enumerate(chosen):
        video = render([scene])[0].numpy()
        other = chosen[(i + 2) % len(chosen)]
        right += [o.correct for o in check_video(video, scene).objects]
        wrong += [o.correct for o in check_video(video, other).objects]
    return {"ground_truth": float(np.mean(right)), "wrong_caption": float(np.mean(wrong))}


def markdown(record: dict[str, Any]) -> str:
    """The record as a table a person reads."""
    lines = [
        f"# Composition on the tiny world, {record['date']}",
        "",
        f"{record['prompts']} held-out prompts x {SEEDS} seeds, {SAMPLING['steps']} steps, cfg "
        f"{SAMPLING['cfg']}, through ComfyUI {record['machine']['comfyui']}, commit "
        f"`{record['commit']}`. Share that is right in colour, shape and motion, +- 95% over "
        "prompts.",
        "",
        "| mode | objects, 1 | videos, 1 | objects, 2 | videos, 2 | first frames, 2 |",
        "|---|---|---|---|---|---|",
    ]
    for mode, by_count in record["table"].items():
        cells = [
            f"{by_count[c][k]['mean']:.2f} +- {by_count[c][k]['ci95']:.2f}"
            for c, k in (
                ("1", "objects"), ("1", "videos"), ("2", "objects"), ("2", "videos"),
                ("2", "first_frames"),
            )
        ]  # fmt: skip
        lines.append(f"| {mode} | " + " | ".join(cells) + " |")
    checker = record["checker"]
    lines += [
        "",
        f"The checker itself, per object: ground truth {checker['ground_truth']:.3f}, under a "
        f"wrong caption {checker['wrong_caption']:.3f}.",
        "",
    ]
    return "\n".join(lines)


def _missing(done: Path, count: int, part: int, parts: int) -> Iterator[tuple[int, Scene]]:
    lines = done.read_text().splitlines() if done.exists() else []
    known = {json.loads(line)["index"] for line in lines}
    yield from ((i, s) for i, s in enumerate(scenes(count)) if i not in known and i % parts == part)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composition", description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument(
        "--part", default="0/1", help="'0/2' and '1/2' in two processes share the work"
    )
    options = parser.parse_args()
    count, (part, parts) = options.prompts, map(int, options.part.split("/"))
    date = datetime.date.today().isoformat()
    folder = RESULTS / date
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "composition.jsonl"
    todo = list(_missing(done, count, part, parts))
    install = prepare()
    if todo:
        with (
            tempfile.TemporaryDirectory() as base,
            ComfyServer(install, Path(base)) as server,
            ComfyClient(server.url) as client,
            done.open("a") as out,
        ):
            for i, scene in todo:
                out.write(json.dumps(judge(client, scene, i)) + "\n")
                out.flush()
                print(f"{i + 1}/{count} {scene.caption}", flush=True)
    rows = [json.loads(line) for line in done.read_text().splitlines()]
    record = {
        "date": date,
        "prompts": len(rows),
        "machine": describe(install),
        "commit": describe_pack()["commit"],
        "sampling": SAMPLING,
        "checker": check_the_checker(scenes(count)),
        "table": summarise(rows),
    }
    (folder / "composition.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "composition.md").write_text(markdown(record))
    print(markdown(record))


if __name__ == "__main__":
    main()
