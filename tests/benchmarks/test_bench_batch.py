"""The judge of long batches finds every fault; kills are spread as planned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.batch_check import FRAMES, check, psnr
from benchmarks.batch_runs import CLIENT, Kills, captions
from benchmarks.batch_speed import loads

PROMPTS = ["a dog", "a cat"]


def graph(prompt: str) -> dict:
    return {"5": {"inputs": {"prompt": prompt}, "class_type": "Rewriter"}}


def write_video(path: Path, prompt: str, frames: int = FRAMES) -> dict:
    """A video that carries its graph as the host's do; its line in a manifest."""
    carried = {n: {**node, "is_changed": ["x"]} for n, node in graph(prompt).items()}
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata["prompt"] = json.dumps(carried)
        stream = out.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for i in range(frames):
            picture = np.full((64, 64, 3), 10 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    content = path.read_bytes()
    file = {
        "name": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    return {"key": path.stem, "prompt": prompt, "api_prompt": graph(prompt), "files": [file]}


@pytest.fixture
def lines(tmp_path: Path) -> list[dict]:
    made = [write_video(tmp_path / f"{i}.mp4", prompt) for i, prompt in enumerate(PROMPTS)]
    write(tmp_path, made)
    return made


def write(folder: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text)


def test_a_right_batch_is_right(tmp_path: Path, lines: list[dict]):
    assert check(tmp_path, PROMPTS) == {"works": 2, "videos": 2, "wrong": []}


def test_every_fault_is_found(tmp_path: Path, lines: list[dict]):
    def wrong(**change) -> str:
        write(tmp_path, [lines[0], {**lines[1], **change}])
        return "; ".join(check(tmp_path, PROMPTS)["wrong"])

    assert "twice" in wrong(key="0")
    assert "not those of the list" in wrong(prompt="a bird")
    assert "made of another prompt" in wrong(prompt="a dog")
    assert "carries another graph" in wrong(api_prompt=graph("a bird"))
    assert "is missing" in wrong(files=[{**lines[1]["files"][0], "name": "2.mp4"}])
    assert "not what the manifest says" in wrong(files=[{**lines[1]["files"][0], "bytes": 1}])
    short = write_video(tmp_path / "1.mp4", "a cat", frames=3)
    assert "has 3 frames" in wrong(files=short["files"])
    (tmp_path / "1.mp4.fvg-part").touch()
    assert "half a file" in wrong(files=short["files"])
    (tmp_path / "stray.mp4").touch()
    assert "2 videos are in the manifest, 3 in the folder" in wrong(files=short["files"])


def test_kills_hit_everyone_as_often_and_all_along():
    kills = Kills.at_random(1000, 2, 5)
    victims = [victim for _, victim in kills.plan]
    assert all(victims.count(each) == 5 for each in (0, 1, CLIENT))
    moments = [moment for moment, _ in kills.plan]
    assert moments == sorted(set(moments))
    assert 0 < moments[0] < 200 < 800 < moments[-1] < 1000
    assert not kills.due(moments[0] - 1)
    assert kills.due(moments[0])


def test_prompts_are_all_different():
    assert len(set(captions(300))) == 300
    assert captions(5) == captions(5)


def test_likeness_of_pictures():
    flat = np.zeros((2, 2))
    assert psnr(flat, flat) is None
    assert psnr(flat, flat + 25.5) == pytest.approx(20)


def test_phases_read_every_model_once():
    for row in loads():
        assert row["all"] == pytest.approx(row["video"] + 15.2 + 28.3 + 5.7)
