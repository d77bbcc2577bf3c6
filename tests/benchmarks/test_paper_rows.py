"""Rows of the paper's benchmark as they are made: kept, shared among servers, never mixed."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from hashlib import sha256

import pytest

from benchmarks import kept, report
from benchmarks.paper import run
from benchmarks.paper.__main__ import place
from benchmarks.paper.ways import LORA
from dev.host import PACK
from dev.recipe import weight_hashes
from fvg_core.categories import CATEGORIES
from fvg_core.errors import BatchError

MACHINE = {"comfyui": "0.30.0", "torch": "2.10.0+cpu", "cpu": "a fast one", "gpu": None}
HEAD = run.head_of(run.QUICK, MACHINE)


class Judge:
    """Makes rows, and knows which."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def __call__(self, client, item, plan, folder) -> dict:
        self.made.append((item.category, item.index))
        return {"prompt": item.words.original}


def test_rows_are_kept_and_half_ones_made_again(tmp_path):
    judge, path = Judge(), tmp_path / "ways.jsonl"
    rows = run.collect([None], judge, path, run.items(1), run.QUICK, HEAD)
    assert len(rows) == len(judge.made) == 7
    path.write_text(path.read_text()[:-20])  # as a kill leaves it
    again = run.collect([None], judge, path, run.items(1), run.QUICK, HEAD)
    assert again == rows
    assert judge.made[7:] == [(CATEGORIES[-1], 0)]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 8
    plan = replace(run.QUICK, seeds=9)
    with pytest.raises(BatchError, match="another plan"):
        run.collect([None], judge, path, run.items(1), plan, run.head_of(plan, MACHINE))


def test_more_or_fewer_prompts_take_the_rows_that_are_there(tmp_path):
    judge, path = Judge(), tmp_path / "ways.jsonl"
    rows = {}
    for count in (2, 3, 1):
        plan = replace(run.QUICK, prompts=count)
        head = run.head_of(plan, MACHINE)
        rows[count] = run.collect([None], judge, path, run.items(count), plan, head)
    assert len(judge.made) == len(set(judge.made)) == 21
    assert rows[3][:14] == rows[2]
    assert rows[1] == rows[2][:7]


def test_clients_work_at_once_and_rows_keep_their_order(tmp_path):
    both, held = threading.Barrier(2), set()

    def judge(client, item, plan, folder):
        assert client not in held
        held.add(client)
        both.wait(10)  # alone it would wait in vain
        held.remove(client)
        both.wait(10)
        return {"prompt": item.words.original}

    todo = run.items(2)
    rows = run.collect(["one", "two"], judge, tmp_path / "ways.jsonl", todo, run.QUICK, HEAD)
    assert [(row["category"], row["index"]) for row in rows] == [
        (i.category, i.index) for i in todo
    ]


class Interruptible:
    """A client whose server may be told to stop."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()

    def interrupt(self) -> None:
        self.interrupted.set()


def test_a_row_that_fails_interrupts_the_others_and_leaves_what_is_done(tmp_path):
    failing = CATEGORIES[-1]
    begun, told = threading.Barrier(2), []

    def judge(client, item, plan, folder):
        if item.category in CATEGORIES[-2:]:
            begun.wait(10)
            if item.category != failing:
                told.append(client.interrupted.wait(10))
            raise BatchError(f"no {item.category}")
        return {"prompt": item.words.original}

    path, clients = tmp_path / "ways.jsonl", [Interruptible(), Interruptible()]
    with pytest.raises(BatchError, match=failing):
        run.collect(clients, judge, path, run.items(1), run.QUICK, HEAD)
    assert told == [True]
    left = {row["category"] for row in kept.known_rows(path, HEAD)}
    assert left == set(CATEGORIES[:-2])


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """A copy of what rows are made with, that a test may change; one small file for weights."""
    pack = tmp_path / "pack"
    for folder in (*kept.MAKERS, "benchmarks/paper"):
        leave = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(PACK / folder, pack / folder, ignore=leave)
    weights = pack / "fvg_core" / "tiny" / "weights"
    (weights / "loras" / LORA).write_bytes(b"first training")
    monkeypatch.setattr(kept, "PACK", pack)
    monkeypatch.setattr(kept, "WEIGHTS", weights)
    return pack


@pytest.mark.parametrize(
    "other",
    ["plan", "weights", "code", "comfyui", "torch", "cpu", "gpu", "sampling", "image_sampling"],
)
def test_rows_and_costs_of_another_make_are_not_mixed(tmp_path, pack, monkeypatch, other):
    """What a run before kept is taken, and refused once anything it was made with has changed."""
    plan, machine = run.QUICK, dict(MACHINE)
    ways, costs = tmp_path / "ways.jsonl", tmp_path / "cost.json"
    head = run.head_of(plan, machine)
    rows = run.collect([None], Judge(), ways, run.items(1), plan, head)
    costs.write_text(json.dumps({"head": head, "seconds": {}}))
    assert kept.known_rows(ways, head) == rows
    assert run.known_cost(None, costs, plan, head)["seconds"] == {}
    before = ways.read_bytes()
    if other == "plan":
        plan = replace(plan, clocked=9)
    elif other == "weights":
        (kept.WEIGHTS / "loras" / LORA).write_bytes(b"second training")
    elif other == "code":
        (pack / "fvg_core" / "tiny" / "scorer.py").write_text("def score(): ...")
    elif other in machine:
        machine[other] = "another"
    else:
        monkeypatch.setitem(getattr(run, other.upper()), "cfg", 7.5)
    head = run.head_of(plan, machine)
    for known, path in (
        (kept.known_rows, ways),
        (lambda path, head: run.known_cost(None, path, plan, head), costs),
    ):
        with pytest.raises(BatchError, match=f"{path.name} was begun with another {other}: "):
            known(path, head)
    assert ways.read_bytes() == before
    costs.write_text('{"seconds": {}}')  # of no known make
    made = "plan, weights, code, comfyui, torch, cpu, (gpu, )?sampling"
    with pytest.raises(BatchError, match=f"another {made}"):
        run.known_cost(None, costs, plan, head)


@pytest.mark.parametrize(
    ("name", "makes"),
    [
        ("fvg_core/tiny/seeing.py", True),
        ("fvg_core/tiny/render.py", True),
        ("fvg_core/prompts/words/nouns.txt", True),
        ("nodes/host/sampling.py", True),
        ("benchmarks/packs/fvg_bench/paper.py", True),
        ("benchmarks/paper/ways.py", True),
        ("benchmarks/paper/a_new_one.py", True),
        ("benchmarks/paper/tables.py", False),
        ("benchmarks/paper/pictures.py", False),
        ("fvg_core/tiny/__pycache__/seeing.cpython-312.pyc", False),
    ],
)
def test_code_that_makes_rows_is_in_their_head_and_that_of_the_page_is_not(
    pack, monkeypatch, name, makes
):
    monkeypatch.setattr(run, "HERE", pack / "benchmarks" / "paper")
    before = run.head_of(run.QUICK, MACHINE)
    (pack / name).parent.mkdir(exist_ok=True)
    with (pack / name).open("a") as out:
        out.write("# another")
    changed = [
        key for key, value in run.head_of(run.QUICK, MACHINE).items() if value != before[key]
    ]
    assert changed == ["code"] * makes


def test_a_weights_file_is_known_by_its_place_and_content(tmp_path):
    (tmp_path / "loras").mkdir()
    for name in ("a.safetensors", "loras/a.safetensors", "loras/notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    found = weight_hashes(tmp_path)
    assert list(found) == ["a.safetensors", "loras/a.safetensors"]
    assert found["loras/a.safetensors"] == sha256(b"loras/a.safetensors").hexdigest()


def test_a_run_goes_on_in_its_folder_on_another_day(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    new = tmp_path / "2026-01-03" / "paper"
    assert place("paper", "2026-01-03") == new
    for date in ("2026-01-01", "2026-01-02"):
        (tmp_path / date / "paper").mkdir(parents=True)
        assert place("paper", "2026-01-03") == tmp_path / date / "paper"
        (tmp_path / date / "paper" / "paper.md").touch()
    assert place("paper", "2026-01-03") == new
