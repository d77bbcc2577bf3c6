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
from fvg_core.bench.graph import set_widgets
from fvg_core.bench.video import read_frames
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.diagnose.branches import TITLES, three_ways
from fvg_core.diagnose.command import TEMPLATE, read_pages

pytestmark = pytest.mark.host

PROMPT = "a red circle moves right and a blue square stays still on a gray background"


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


def test_the_second_video_starts_with_the_first_frame_of_the_first(client: ComfyClient):
    info = client.object_info()
    workflow = set_widgets(
        load_workflow(TEMPLATE), info, "FVGFirstFramePromptRewriter", prompt=PROMPT
    )
    workflow = set_widgets(workflow, info, "FVGAnchorPicker", policy="first")
    workflow = set_widgets(workflow, info, "FVGAnchorImageGenerator", candidates=1, steps=4)
    workflow = set_widgets(workflow, info, "FVGAnchoredWanSampler", steps=4)
    prompt, saves = three_ways(to_prompt(workflow, info))
    assert "FVGAnchorLatentInjector" not in {
        prompt[n]["class_type"] for n in prompt if n.startswith("t2v:")
    }
    result = client.run(prompt)
    t2v, own, fvg = (read_pages(client.fetch(result.files(saves[way])[0])) for way in TITLES)
    # Encoded and decoded once more, so not bit for bit.
    assert np.abs(own[0].astype(int) - t2v[0]).mean() < 12
    assert np.abs(own[0].astype(int) - t2v[0]).mean() < np.abs(fvg[0].astype(int) - t2v[0]).mean()
