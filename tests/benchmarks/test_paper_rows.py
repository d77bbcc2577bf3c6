"""Rows of the paper's benchmark as they are made: kept, shared among servers, never mixed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from hashlib import sha256

import pytest

from benchmarks import report
from benchmarks.paper import run
from benchmarks.paper.__main__ import place
from benchmarks.paper.ways import LORA
from dev.recipe import weight_hashes
from fvg_core.categories import CATEGORIES
from fvg_core.errors import BatchError


class Judge:
    """Makes rows, and knows which."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def __call__(self, client, item, plan, folder) -> dict:
        self.made.append((item.category, item.index))
        return {"prompt": item.words.original}


def test_rows_are_kept_and_half_ones_made_again(tmp_path):
    judge, path = Judge(), tmp_path / "ways.jsonl"
    rows = run.collect([None], judge, path, run.items(1), run.QUICK)
    assert len(rows) == len(judge.made) == 7
    path.write_text(path.read_text()[:-20])  # as a kill leaves it
    again = run.collect([None], judge, path, run.items(1), run.QUICK)
    assert again == rows
    assert judge.made[7:] == [(CATEGORIES[-1], 0)]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 8
    with pytest.raises(BatchError, match="another plan"):
        run.collect([None], judge, path, run.items(1), replace(run.QUICK, seeds=9))


def test_more_or_fewer_prompts_take_the_rows_that_are_there(tmp_path):
    judge, path = Judge(), tmp_path / "ways.jsonl"
    rows = {
        count: run.collect([None], judge, path, run.items(count), replace(run.QUICK, prompts=count))
        for count in (2, 3, 1)
    }
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
    rows = run.collect(["one", "two"], judge, tmp_path / "ways.jsonl", todo, run.QUICK)
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
        run.collect(clients, judge, path, run.items(1), run.QUICK)
    assert told == [True]
    kept = {row["category"] for row in run.known_rows(path, run.QUICK)}
    assert kept == set(CATEGORIES[:-2])


@pytest.mark.parametrize("other", ["plan", "weights", "words", "sampling", "image_sampling"])
def test_rows_and_costs_of_another_make_are_not_mixed(tmp_path, monkeypatch, other):
    """What a run before kept is taken, and refused once anything it was made with has changed."""
    plan, weights = run.QUICK, tmp_path / "weights"
    (weights / "loras").mkdir(parents=True)
    (weights / "loras" / LORA).write_bytes(b"first training")
    monkeypatch.setattr(run, "WEIGHTS", weights)
    ways, costs = tmp_path / "ways.jsonl", tmp_path / "cost.json"
    rows = run.collect([None], Judge(), ways, run.items(1), plan)
    costs.write_text(json.dumps({"head": run.head_of(plan), "seconds": {}}))
    assert run.known_rows(ways, plan) == rows
    assert run.known_cost(None, costs, plan)["seconds"] == {}
    kept = ways.read_bytes()
    if other == "plan":
        plan = replace(plan, clocked=9)
    elif other == "weights":
        (weights / "loras" / LORA).write_bytes(b"second training")
    elif other == "words":
        rewritten = replace(run.rewrite("a red ball"), first_frame_prompt="another rewriter's")
        monkeypatch.setattr(run, "rewrite", lambda prompt: rewritten)
    else:
        monkeypatch.setitem(getattr(run, other.upper()), "cfg", 7.5)
    for known, path in ((run.known_rows, ways), (lambda p, q: run.known_cost(None, p, q), costs)):
        with pytest.raises(BatchError, match=f"{path.name} was begun with another {other}: "):
            known(path, plan)
    assert ways.read_bytes() == kept
    costs.write_text('{"seconds": {}}')  # of no known make
    with pytest.raises(BatchError, match="another plan, weights, words, sampling, image_sampling"):
        run.known_cost(None, costs, plan)


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
