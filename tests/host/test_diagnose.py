"""`python -m fvg_core diagnose` on a running ComfyUI: three videos, one verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dev.host import PACK
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.graph import upstream
from fvg_core.bench.video import read_frames
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.diagnose.branches import TITLES, three_ways
from fvg_core.diagnose.command import TEMPLATE, read_pages

pytestmark = pytest.mark.host

PROMPT = "a red ball moves right and a blue square stays still on a gray background"


def test_the_command_makes_judges_and_shows_three_videos(comfy: ComfyServer, tmp_path: Path):
    command = [sys.executable, "-m", "fvg_core", "diagnose", PROMPT, "--server", comfy.url]
    done = subprocess.run(
        [*command, "--seed", "3", "--out", str(tmp_path)], cwd=PACK, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(title in done.stdout for title in TITLES.values())
    record = json.loads((tmp_path / "diagnosis.json").read_text())
    assert record["words"] in done.stdout
    assert record["verdict"] in ("none", "motion", "composition", "anchor", "both")
    assert {p.name for p in tmp_path.iterdir()} == {
        "diagnosis.json", "sheet.png", "side_by_side.mp4",
    }  # fmt: skip
    frames = read_frames(tmp_path / "side_by_side.mp4")
    assert (len(frames), frames[0].size) == (17, (3 * 256 + 2 * 16, 256))
    assert Image.open(tmp_path / "sheet.png").height > 500


def test_the_template_runs_as_it_is(comfy: ComfyServer, client: ComfyClient):
    """Three videos side by side, and what the scorer says of both first frames."""
    prompt = quick(to_prompt(load_workflow(TEMPLATE), client.object_info()))
    before = set(comfy.output.rglob("*.mp4"))
    result = client.run(prompt)
    (video,) = set(comfy.output.rglob("*.mp4")) - before
    frames = read_frames(video)
    assert (len(frames), frames[0].size) == (17, (4 * (3 * 64 + 2 * 4), 4 * 64))
    (shown,) = (n for n, node in prompt.items() if node["class_type"] == "PreviewAny")
    scores = json.loads(result.outputs[shown]["text"][0])
    assert len(scores["candidates"]) == 2


def test_the_second_video_starts_with_the_first_frame_of_the_first(client: ComfyClient):
    info = client.object_info()
    prompt, saves = three_ways(quick(to_prompt(load_workflow(TEMPLATE), info)))
    kinds = [node["class_type"] for node in prompt.values()]
    assert kinds.count("FVGAnchoredWanSampler") == kinds.count("SaveAnimatedWEBP") == 3
    assert "SaveVideo" not in kinds
    assert _above(prompt, saves["t2v"]).isdisjoint(
        {"FVGAnchorLatentInjector", "LoraLoaderModelOnly"}
    )
    seeds = [node["inputs"]["seed"] for node in prompt.values() if "Sampler" in node["class_type"]]
    assert seeds == seeds[:1] * 3
    result = client.run(prompt)
    t2v, own, fvg = (read_pages(client.fetch(result.files(saves[way])[0])) for way in TITLES)
    # Encoded and decoded once more, so not bit for bit.
    assert np.abs(own[0].astype(int) - t2v[0]).mean() < 12
    assert np.abs(own[0].astype(int) - t2v[0]).mean() < np.abs(fvg[0].astype(int) - t2v[0]).mean()


def quick(prompt: dict) -> dict:
    """The same with few steps."""
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 4
        if "candidates" in node["inputs"]:
            node["inputs"]["candidates"] = 1
    return prompt


def _above(prompt: dict, node: str) -> set[str]:
    return {prompt[n]["class_type"] for n in upstream(prompt, node)}
