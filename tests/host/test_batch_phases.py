"""Phases, rows of the paper, variations, previews: the batch command against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from batches import ROOT, TEMPLATE, Batch, moving
from PIL import Image

from dev.server import ComfyServer
from fvg_core.bench import given
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.template import Template
from tests.chat_servers import completion, serving
from tests.prompts.replaying import as_json

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
REWRITER = "First-Frame Prompt Rewriter"
ASKED = [("--set", f"{REWRITER}.{said}") for said in ("backend=server", "attempts=1")]


@pytest.fixture
def batch(comfy: ComfyServer, tmp_path: Path) -> Batch:
    made = Batch(tmp_path, comfy.url)
    made.arguments.remove("--interleave")
    return made


@pytest.fixture
def asked(comfy: ComfyServer) -> Iterator[list[str]]:
    """What the machine's chat server was asked; it answers with a frame of any circle."""
    heard: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        said = (await request.json())["messages"][-1]["content"]
        if "broken" in said:
            return web.json_response({"error": "out of words"}, status=400)
        heard.append(said)
        frame = f"A circle on a black background, version {len(heard)}."
        return web.json_response(completion(as_json(frame, [])))

    config = comfy.user / "__fvg" / "llm.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    with serving(answer) as url:
        config.write_text(json.dumps({"url": url, "model": "any"}))
        yield heard
    config.unlink()


def test_rewrites_then_anchors_then_videos(batch: Batch, asked: list[str], client: ComfyClient):
    batch.write(*moving(3, "diamond"), {"prompt": "a broken diamond"})
    llm = [part for pair in ASKED for part in pair]
    llm += ["--retries", "0", "--previews"]
    status, said = batch.run(*llm, "--stop-after", "anchors")
    assert status == 3, said
    (failed,) = batch.lines("rewrites/failed.jsonl")
    assert "status 400" in failed["error"]
    assert not batch.lines("anchors/failed.jsonl")  # it was not tried again
    assert len(asked) == 3
    written = batch.lines("rewrites/manifest.jsonl")
    texts = [(batch.out / "rewrites" / line["files"][0]["name"]).read_text() for line in written]
    assert sorted(texts) == [f"A circle on a black background, version {n}.\n" for n in (1, 2, 3)]
    assert batch.run(*llm)[0] == 3
    batch.check(3)
    assert len(asked) == 3  # found on the server's disk
    phases = [batch.lines(f"{name}manifest.jsonl") for name in ("rewrites/", "anchors/", "")]
    ends = [[line["finished"] for line in lines] for lines in phases]
    assert max(ends[0]) <= min(ends[1])
    assert max(ends[1]) <= min(ends[2])
    (preview,) = batch.out.glob("preview-127-0-0-1-*")
    with Image.open(preview) as picture:
        assert min(picture.size) > 8


def test_the_rows_of_the_paper_from_one_list(batch: Batch, asked: list[str], tmp_path: Path):
    batch.write(*moving(2, "hexagon"))
    plain = Batch(tmp_path / "t2v", *batch.servers)
    long = Batch(tmp_path / "upsampled", *batch.servers)
    for row in (plain, long):
        row.arguments = [str(batch.list), *batch.arguments[1:]]
    assert plain.run("--mode", "t2v")[0] == 0
    plain.check(2)
    for line in plain.lines():
        kinds = [node["class_type"] for node in line["api_prompt"].values()]
        assert kinds.count("EmptyHunyuanLatentVideo") == 1
        assert not {"LoraLoaderModelOnly", "FVGAnchorImageGenerator"} & set(kinds)
    status, said = long.run("--mode", "upsampled")
    assert status == 1
    assert "needs a language model" in said
    assert long.run("--mode", "upsampled", *(part for pair in ASKED for part in pair))[0] == 0
    long.check(2)
    assert [line["server"] for line in long.lines("rewrites/manifest.jsonl")] == [
        batch.servers[0]
    ] * 2
    assert not list(long.out.glob("anchors"))


def test_every_template_has_a_plain_row(client: ComfyClient):
    """With anchors and without, from the file as it is."""
    info, tried = client.object_info(), 0
    for path in sorted(TEMPLATE.parent.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        if path.stem == "fvg_diagnose":
            continue  # it holds its plain row already, and one seed for all
        if f'"{given.REWRITER}"' not in text or f'"{given.INJECTOR}"' not in text:
            continue  # not one that makes videos
        tried += 1
        whole = Template.load(path, info).work(Entry("a dog"), 1)
        plain = Template.load(path, info, mode="t2v").work(Entry("a dog"), 1).prompt
        assert len(plain) < len(whole.prompt)
        kinds = {node["class_type"] for node in plain.values()}
        assert not kinds & {given.REWRITER, given.INJECTOR, *given.DRAWING}
        links = [v for node in plain.values() for v in node["inputs"].values() if type(v) is list]
        assert {source for source, _ in links} <= set(plain)
        assert "a dog" in json.dumps(plain)
    assert tried


def test_variations_are_first_frames_worded_anew(batch: Batch):
    batch.write({"prompt": "Two brown dogs run across a snowy field."})  # of circles there is one
    assert batch.run("--variations", "2")[0] == 0
    batch.check(2)
    first, second = batch.lines()
    assert (first["variation"], second["variation"]) == (0, 1)
    drawn = [line["files"][0]["sha256"] for line in batch.lines("anchors/manifest.jsonl")]
    assert len(set(drawn)) == 2


def test_ten_thousand_lines_cost_no_memory(batch: Batch):
    """The last of them is wrong, so that all are read and nothing is queued."""

    def peak_kb(count: int) -> int:
        rows = [*moving(1) * (count - 1), {"prompt": "p", "set": {"Anchor Picker.policy": "no"}}]
        batch.write(*rows)
        # A small process starts it: a fork counts as large as what it was forked from.
        command = [sys.executable, "-c", PEAK, *batch.command()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert f"Line {count} ('p')" in done.stderr
        return int(done.stdout.split()[-1])

    few = peak_kb(10)
    assert few < 150_000
    assert peak_kb(10_000) < few + 10_000


def test_start_runs_a_server_of_its_own(tmp_path: Path):
    """Up to the point where it would be started."""
    batch = Batch(tmp_path)
    batch.write(*moving(1))
    nowhere = {**os.environ, "COMFYUI": str(tmp_path / "none")}
    status, said = batch.run("--start", env=nowhere)
    assert (status, "Traceback" in said) == (1, False)
    assert f"{tmp_path / 'none'} is not a ComfyUI folder" in said
