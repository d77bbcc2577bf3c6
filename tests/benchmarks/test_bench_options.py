"""The comparison of sampling options, on numbers one can check by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import options
from benchmarks.machine import describe
from benchmarks.options import DEFAULT, FIGURES
from dev.host import prepare
from fvg_core.errors import BatchError
from fvg_core.tiny.render import render


def rows(changes: list[float], figure: str = "score") -> list[dict]:
    """One scene for each change of a figure from the default's 0.5."""
    same = dict.fromkeys(FIGURES, 0.5)
    return [
        {"variants": {DEFAULT: {**same}, "other": {**same, figure: 0.5 + change}}}
        for change in changes
    ]


@pytest.mark.parametrize(
    ("changes", "figure", "won"),
    [
        ([0.1, 0.2, 0.1, 0.2], "score", 1),
        ([-0.1, -0.2, -0.1, -0.2], "score", -1),
        ([0.1, -0.1, 0.2, -0.1], "score", 0),
        ([0.1, 0.2, 0.1, 0.2], "shift", -1),  # of colours, the less the better
        ([0.0, 0.0, 0.0], "psnr", 0),
    ],
)
def test_a_win_is_a_difference_beyond_its_interval(changes, figure, won):
    table = options.summarise(rows(changes, figure))
    assert options.wins(table, "other") == {**dict.fromkeys(FIGURES, 0), figure: won}
    assert table["other"][figure]["difference"] == pytest.approx(np.mean(changes))


def test_the_interval_widens_with_the_number_of_candidates():
    one = rows([0.1, 0.3, 0.2])
    two = [{"variants": {**r["variants"], "third": r["variants"]["other"]}} for r in one]
    widths = [options.summarise(r)["other"]["score"]["interval"] for r in (one, two)]
    error = np.std([0.1, 0.3, 0.2], ddof=1) / 3**0.5
    assert widths[0] == pytest.approx(1.96 * error, rel=1e-3)
    assert widths[1] == pytest.approx(2.2414 * error, rel=1e-3)


def test_a_video_that_stands_still_shows_the_scene_and_not_the_motion():
    scene = next(s for s in options.scenes(7, seed=0) if s.prompt.category == "motion_binding")
    drawn = render([scene])[0].numpy()
    brighter = drawn + (drawn < 250)
    still = brighter[:1].repeat(len(drawn), axis=0)
    found = options.figures([brighter], scene, drawn)
    assert (found["score"], found["scene"]) == (1, 1)
    assert found["psnr"] == pytest.approx(20 * np.log10(255), abs=0.1)  # one level of 255 off
    assert found["shift"] < 1
    halves = options.figures([brighter, still], scene, drawn)
    assert (halves["score"], halves["scene"]) == (0.5, 1)
    assert halves["psnr"] < found["psnr"]


def begin(done: Path, head: dict, known: list[dict]) -> None:
    done.write_text("".join(json.dumps(line) + "\n" for line in (head, *known)))


def test_rows_of_other_weights_are_not_gone_on_with(tmp_path):
    machine = {"comfyui": "0.30.0", "torch": "2.10", "cpu": "a fast one", "gpu": None}
    done, head = tmp_path / "options.jsonl", options.head_of(machine)
    known = [{"index": i, **row} for i, row in enumerate(rows([0.1, 0.2]))]
    begin(done, head, known)
    todo = dict(enumerate(options.scenes(2, seed=0)))
    assert options.measure(None, done, todo, options.VARIANTS, head) == known
    with pytest.raises(BatchError, match=r"options\.jsonl was begun with another weights: "):
        options.measure(None, done, todo, options.VARIANTS, {**head, "weights": {"other": "1"}})
    begin(done, known[0], known[1:])  # no head
    made = "weights, code, comfyui, torch, cpu, sampling, seeds"
    with pytest.raises(BatchError, match=f"another {made}"):
        options.measure(None, done, todo, options.VARIANTS, head)


@pytest.mark.host
def test_a_second_look_leaves_the_forerunners_record(tmp_path, monkeypatch):
    old = {tmp_path / f"options_again.{kind}": kind for kind in ("jsonl", "json", "md")}
    for path, text in old.items():
        path.write_text(text)
    known = [{"index": options.FIRST_AGAIN + i, **row} for i, row in enumerate(rows([0.1, 0.2]))]
    done = tmp_path / "options_node.jsonl"
    begin(done, options.head_of(describe(prepare())), known)
    command = ["options", "--again", "--prompts", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    options.main()
    assert "| other | **+0.150" in (tmp_path / "options_node.md").read_text()
    assert {path: path.read_text() for path in old} == old


def test_every_variant_changes_one_thing():
    (scene,) = options.scenes(1, seed=0)
    nodes, saves = options.graph("anchor.png", scene, seed=3)
    assert saves.keys() == options.VARIANTS.keys()
    kinds = ("inject", "option", "sample")
    settings = lambda name: {
        kind: nodes.get(f"{name}/{kind}", {}).get("inputs", {}) for kind in kinds
    }
    literal = lambda given: {k: v for k, v in given.items() if not isinstance(v, list)}
    default = settings(DEFAULT)
    for name in options.VARIANTS.keys() - {DEFAULT}:
        own = settings(name)
        changed = [k for kind in kinds for k, v in literal(own[kind]).items()
                   if literal(default[kind]).get(k) != v]  # fmt: skip
        assert len(changed) == 1, (name, changed)
