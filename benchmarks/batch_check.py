"""Is a finished batch right? Counts, hashes, and every video looked into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from fvg_core.bench.client import ComfyClient
from fvg_core.bench.video import read_frames

FRAMES, SIZE = 5, (64, 64)  # as batch_runs.CHEAP sets them
Json = dict[str, Any]


def manifest(out: Path) -> list[Json]:
    """The lines of a batch's manifest."""
    text = (out / "manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def check(out: Path, prompts: Collection[str], extra: Collection[str] = ()) -> Json:
    """What is found in `out`; `wrong` names every fault. `extra` are copies that a suite wants."""
    lines = manifest(out)
    wrong: list[str] = []
    keys = [line["key"] for line in lines]
    if len(set(keys)) != len(keys):
        wrong.append(f"{len(keys) - len(set(keys))} works are in the manifest twice")
    if sorted(line["prompt"] for line in lines) != sorted(prompts):
        wrong.append("the manifest's prompts are not those of the list")
    listed = [file["name"] for line in lines for file in line["files"]]
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.mp4"))
    if sorted([*listed, *extra]) != found:
        wrong.append(f"{len(listed)} videos are in the manifest, {len(found)} in the folder")
    wrong += [f"half a file: {p.name}" for p in out.rglob("*.fvg-part")]
    for line in lines:
        wrong += _faults(out, line)
    return {"works": len(lines), "videos": len(found), "wrong": wrong}


def _faults(out: Path, line: Json) -> list[str]:
    """What is wrong with one work: bytes, frames, and the graph that the video carries."""
    (file,) = line["files"]
    path = out / file["name"]
    if not path.is_file():
        return [f"{file['name']} is missing"]
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != file["sha256"] or len(content) != file["bytes"]:
        return [f"{file['name']} is not what the manifest says"]
    frames = read_frames(path)
    if (len(frames), frames[0].size) != (FRAMES, SIZE):
        return [f"{file['name']} has {len(frames)} frames of {frames[0].size}"]
    if carried(path) != line["api_prompt"]:
        return [f"{file['name']} carries another graph"]
    if line["api_prompt"]["5"]["inputs"]["prompt"] != line["prompt"]:
        return [f"{file['name']} was made of another prompt"]
    return []


def carried(path: Path) -> Any:
    """The API prompt in the metadata of a saved video."""
    import av

    with av.open(str(path)) as container:
        prompt = json.loads(container.metadata["prompt"])
    # The host notes beside the inputs what it found changed.
    return {n: {k: v for k, v in node.items() if k != "is_changed"} for n, node in prompt.items()}


def made_again(client: ComfyClient, out: Path, count: int) -> Json:
    """Makes `count` works of the manifest anew, on a server that nobody disturbs.

    How many came out the same in every pixel, and the smallest likeness (PSNR, dB) of the others:
    sums of floats differ in their last bits from process to process, and the video encoder makes
    more of it.
    """
    lines = manifest(out)
    likeness = []
    for line in lines[:: max(1, len(lines) // count)][:count]:
        result = client.run(line["api_prompt"])
        (saved,) = (f for f in result.files() if f.filename.endswith(".mp4"))
        again = out.parent / "again.mp4"
        again.write_bytes(client.fetch(saved))
        likeness.append(psnr(pixels(again), pixels(out / line["files"][0]["name"])))
    different = [db for db in likeness if db is not None]
    return {
        "compared": len(likeness),
        "same": len(likeness) - len(different),
        "smallest_psnr_db": round(min(different), 1) if different else None,
    }


def pixels(path: Path) -> np.ndarray:
    return np.stack([np.asarray(frame, dtype=np.float64) for frame in read_frames(path)])


def psnr(one: np.ndarray, other: np.ndarray) -> float | None:
    """Decibels; None for equal pictures."""
    error = float(np.mean((one - other) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else None
