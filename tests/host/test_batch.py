"""The batch command against real servers: killed, restarted, shared, refused."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batches import FAST, ROOT, TEMPLATE, Batch, moving

from dev.host import Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.servers import MARK
from fvg_core.bench.store import read_id
from fvg_core.bench.template import Template
from fvg_core.bench.workflow import to_prompt

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]


HOSTILE = [
    {"prompt": "../../../etc/passwd: a red circle \U0001f98a / \\ | ? * moves"},
    {"prompt": "CON"},
    {"prompt": '=HYPERLINK("http://127.0.0.1/";"a blue square")'},
    {"prompt": "a red circle" + " " * 10_000 + "moves right"},
]


def ours(client: ComfyClient, batch: Batch) -> int:
    """How many jobs of the batch the server has finished."""
    mark = read_id(batch.out)
    return sum(e["prompt"][3].get(MARK) == mark for e in client.get("/history").values())


@pytest.fixture
def batch(comfy: ComfyServer, tmp_path: Path) -> Batch:
    return Batch(tmp_path, comfy.url)


def test_one_of_six_fails_and_the_rest_goes_on(batch: Batch, client: ComfyClient):
    batch.write(*moving(1), *HOSTILE, {"prompt": "word " * 3000})
    status, said = batch.run("--retries", "0")
    assert status == 3, said
    batch.check(5)
    (failed,) = batch.lines("failed.jsonl")
    assert "3000 words; at most 2000" in failed["error"]
    assert "1 set aside" in said
    line = batch.lines()[0]
    assert (line["seed"], line["prompt"]) == (3, moving(1)[0]["prompt"])
    assert line["api_prompt"]["15"]["inputs"]["steps"] == 2
    content = (batch.out / line["files"][0]["name"]).read_bytes()
    assert b"Anchored Wan Sampler" in content or b"FVGAnchoredWanSampler" in content
    assert b'"widgets_values"' in content or b"widgets_values" in content  # drops onto the canvas
    before = ours(client, batch)
    assert batch.run("--retries", "0")[0] == 3
    batch.check(5)
    assert ours(client, batch) == before + 1  # only what had failed ran again


def test_killed_stopped_and_full_clients_lose_nothing(batch: Batch, client: ComfyClient):
    batch.write(*moving(6, "square"))
    killed = batch.start()
    batch.wait_for(1)
    killed.kill()
    killed.wait()
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    status, said = batch.run(preexec_fn=full)
    assert status == 1
    assert "cannot be written: File too large" in said
    stopped = batch.start()
    batch.wait_for(3)
    stopped.send_signal(signal.SIGINT)
    said = "".join(stopped.communicate(timeout=60))
    assert stopped.returncode == 130, said
    assert "Stopped. What is finished is kept" in said
    assert batch.run()[0] == 0
    batch.check(6)
    mark = read_id(batch.out)
    jobs = [entry["prompt"] for entry in client.get("/history").values()]
    numbers = sorted(job[0] for job in jobs if job[3].get(MARK) == mark)
    assert numbers == list(range(numbers[0], numbers[0] + 6))  # nothing was queued twice


def test_jobs_of_others_are_left_alone(batch: Batch, comfy: ComfyServer, client: ComfyClient):
    other = client.submit({"1": {"class_type": "FVGGate", "inputs": {"name": "gate-batch"}}})
    batch.write(*moving(4, "triangle"))
    waiting = batch.start()
    deadline = time.monotonic() + 60
    while sum(MARK in job[3] for jobs in client.get("/queue").values() for job in jobs) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    waiting.kill()
    waiting.wait()
    status, said = batch.run("--cancel")
    assert (status, said.strip()) == (0, "2 jobs removed")
    assert [job[1] for jobs in client.get("/queue").values() for job in jobs] == [other]
    (comfy.output / "gate-batch").touch()
    while not (entry := client.history(other)):
        time.sleep(0.2)
    assert entry["status"]["status_str"] == "success"
    assert batch.run()[0] == 0
    batch.check(4)


def test_the_workflow_in_a_file_is_the_one_that_ran(client: ComfyClient, tmp_path: Path):
    """What a saved video shows when it is dropped on the canvas queues the same prompt."""
    picture = tmp_path / "mine.png"
    picture.write_bytes(b"any")
    info = client.object_info()
    base = Template.load(TEMPLATE, info, [setting.split("=") for setting in FAST])
    sampler = (("Anchored Wan Sampler.cfg", 2.5),)
    for entry in (
        Entry("a red circle"),
        Entry("a red circle", 1, None, "blue", (32, 48), None, sampler),
        Entry("a red circle", anchor=picture),
    ):
        work = base.work(entry, 5)
        assert to_prompt(work.workflow, info) == work.prompt


def test_an_anchor_a_size_and_a_suite_of_ones_own(batch: Batch, tmp_path: Path):
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "red.png")
    row = {"prompt": "a red circle", "anchor": "red.png", "size": "64x64", "negative": "blue"}
    batch.write(row)
    assert batch.run()[0] == 0
    batch.check(1)
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "7_numeracy.txt").write_text("a red circle\na green circle\n")
    suite = Batch(tmp_path / "suite", *batch.servers)
    suite.arguments = ["--template", str(TEMPLATE), "--suite", "t2v-compbench"]
    suite.arguments += ["--prompts-dir", str(prompts), "--dimension", "generative_numeracy"]
    assert suite.run()[0] == 0
    made = sorted(str(p.relative_to(suite.out)) for p in suite.out.rglob("*.mp4"))
    assert made == [f"video/generative_numeracy/000{n}.mp4" for n in (1, 2)]


def test_the_three_commands_of_the_readme(comfy: ComfyServer, tmp_path: Path):
    """All in phases; a stop for a person; on with the choice. In a folder with the templates."""
    batch = Batch(tmp_path, comfy.url)
    batch.out = tmp_path / "out" / "night"
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Many prompts")[1]
    commands = section.split("```")[1].removeprefix("bash").strip().splitlines()
    assert len(commands) == 3
    prompts = [row["prompt"] for row in moving(2, "pentagon")]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts))
    (tmp_path / "workflows").symlink_to(TEMPLATE.parent)
    settings = (*FAST, "Anchor Image Generator.candidates=2")
    more = [part for text in settings for part in ("--set", text)] + ["--server", comfy.url]

    def ran(line: str) -> str:
        command = [sys.executable, *shlex.split(line)[1:], *more]
        paths = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ran(commands[0])
    batch.check(2)
    drawn = batch.lines("anchors/manifest.jsonl")
    assert [len(line["files"]) for line in drawn] == [2, 2]
    ends = [line["finished"] for line in drawn], [line["finished"] for line in batch.lines()]
    assert max(ends[0]) <= min(ends[1])
    assert str(Path("out/night/anchors/contact_sheet.html")) in ran(commands[1])
    batch.check(2)
    (tmp_path / "choices.json").write_text(json.dumps({drawn[1]["key"]: 1}))
    ran(commands[2])
    batch.check(3)
    line = batch.lines()[2]
    assert line["prompt"] == drawn[1]["prompt"]
    digest = drawn[1]["files"][1]["sha256"]
    assert line["uploads"] == [f"fvg-anchor-{digest[:16]}.png"]


def test_what_cannot_work_is_refused_before_anything_is_queued(
    batch: Batch, client: ComfyClient, tmp_path: Path
):
    batch.write(*moving(1), {"prompt": "p", "set": {"Anchor Picker.policy": "frist"}})
    known = len(client.get("/history"))
    for more, why in (
        ((), "Line 2 ('p'): Anchor Picker.policy has no 'frist'. Nearest: 'first'"),
        (("--set", "Anchored Wan Sampler.setps=2"), "Nearest: 'Anchored Wan Sampler.steps'"),
        (("--seeds", "4-0"), "is not understood"),
    ):
        status, said = batch.run(*more)
        assert status == 1
        assert why in said
        assert "Traceback" not in said
    assert len(client.get("/history")) == known
    assert not any(client.get("/queue").values())
    old = {"system": {"comfyui_version": "0.19.2"}}
    bare = {"system": {"comfyui_version": "0.30.0"}}
    without = {"queue": {"queue_running": [], "queue_pending": []}, "history": {}}
    stock = client.object_info()
    without["object_info"] = {n: i for n, i in stock.items() if not n.startswith("FVG")}
    for pages, why in (
        ({"system_stats": "<html>hello</html>"}, "Is this the right"),
        ({"system_stats": old}, "is ComfyUI 0.19.2; 0.20.1 or newer is needed"),
        ({"system_stats": bare, **without}, "Install the pack it comes from"),
    ):
        with website(tmp_path / "site", pages) as url:
            batch.servers = (url,)
            status, said = batch.run()
        assert status == 1
        assert why in said
        assert "Traceback" not in said
    batch.servers = ("http://127.0.0.1:9",)
    assert "Is the server running?" in batch.run()[1]


def test_the_examples_of_the_page_run(comfy: ComfyServer, tmp_path: Path):
    """As they stand there, one after the other in one process, in a folder with the templates."""
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(codes) == 3
    (tmp_path / "workflows").symlink_to(TEMPLATE.parent)
    code = "\n".join(codes).replace("http://127.0.0.1:8188", comfy.url)
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True)
    lines = ran.stdout.splitlines()
    assert re.fullmatch(r"tiny_\d+_\.mp4 after \d+ s", lines[0]), ran.stderr
    assert lines[1] == "[0]"
    assert lines[-1] == "0"
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    assert len(list((tmp_path / "out" / "colors").glob("*.mp4"))) == 2


@contextlib.contextmanager
def website(folder: Path, pages: dict[str, object]) -> Iterator[str]:
    """Something that answers HTTP with these pages, and is no ComfyUI that could be used."""
    folder.mkdir(exist_ok=True)
    for name, page in pages.items():
        (folder / name).write_text(page if isinstance(page, str) else json.dumps(page))
    handler = lambda *a: http.server.SimpleHTTPRequestHandler(*a, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_servers_that_die(install: Install, comfy: ComfyServer, client: ComfyClient, tmp_path):
    """One is restarted in the middle; then, of two, one goes for good."""
    how = {"only_pack": True, "env": {"OMP_NUM_THREADS": "1"}}
    with ComfyServer(install, tmp_path / "second", **how) as first:
        alone = Batch(tmp_path / "alone", first.url)
        alone.write(*moving(4, "star"))
        process = alone.start()
        alone.wait_for(1)
        first.kill()
        process.kill()
        process.communicate()
        process = alone.start()  # which waits for the server, because it has begun
        with ComfyServer(install, tmp_path / "second", port=first.port, **how) as again:
            said = "".join(process.communicate(timeout=240))
            assert process.returncode == 0, said
            alone.check(4)
            both = Batch(tmp_path / "both", again.url, comfy.url)
            both.write(*moving(6, "ring"))
            process = both.start()
            both.wait_for(2)
            again.kill()
            said = "".join(process.communicate(timeout=240))
            assert process.returncode == 0, said
            both.check(6)
            assert len({line["server"] for line in both.lines()}) == 2
