"""The paper's tables from scores that are known, and the graph that makes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.paper.__main__ import require_second_edition
from benchmarks.paper.tables import against, average, markdown, values
from benchmarks.paper.ways import ALL_STEPS, BASE, WAYS, Run, graph
from fvg_core.categories import CATEGORIES
from fvg_core.errors import WeightsError


def rows(run: Run, count: int = 3) -> list[dict]:
    """T2V scores 0.4 at 50 steps and loses 0.1 at 15; FVG 0.6 at any; prompts differ by 0.05."""
    base = {"T2V/50": 0.4, "T2V/15": 0.3}
    return [
        {
            "category": category,
            "index": i,
            "scores": {
                f"{w}/{n}": [base.get(f"{w}/{n}", 0.6) + 0.05 * i - 0.02, 0.02 + 0.05 * i
                             + base.get(f"{w}/{n}", 0.6)]
                for w, n in run.cells()
            },
        }
        for category in CATEGORIES
        for i in range(count)
    ]  # fmt: skip


def test_prompts_count_once_and_categories_alike():
    found = rows(Run(2, (50, 15)))
    found.append({**found[0], "index": 9, "scores": {k: [1.0] for k in found[0]["scores"]}})
    by_category = values(found, "T2V/50")
    assert len(by_category[CATEGORIES[0]]) == 4
    assert by_category[CATEGORIES[0]] == pytest.approx([0.4, 0.45, 0.5, 1.0])
    expected = (6 * 0.45 + np.mean([0.4, 0.45, 0.5, 1.0])) / 7
    assert average(by_category)[0] == pytest.approx(expected)


def test_paired_differences_do_not_see_how_prompts_differ():
    found = rows(Run(2, (50, 15)))
    mean, half = against(found, "FVG/15", "T2V/50")
    assert mean == pytest.approx(0.2)
    assert half == pytest.approx(0, abs=1e-9)
    assert average(values(found, "FVG/15"))[1] > 0.01


def test_the_page_has_every_way_and_the_change_with_steps():
    run = Run(2, (50, 15))
    page = markdown(rows(run), run.steps)
    for way, steps in run.cells():
        assert f"| {way} | {steps} |" in page
    change = page.split("## Table 7")[1]
    assert "| T2V | 15 | -0.100 ± 0.000 | -22.2% |" in change
    assert "| FVG | 15 | +0.000 ± 0.000 | +0.0% |" in change
    assert "raw caption" not in change  # made at 15 steps only


def test_the_graph_has_one_video_for_each_way_and_number_of_steps():
    nodes, saves = graph("a red ball spins", "frame.png", 5, Run(2, ALL_STEPS))
    assert set(saves) == {(w, n) for w, way in WAYS.items() for n in way.steps}
    for (way, steps), save in saves.items():
        decode = nodes[nodes[save]["inputs"]["images"][0]]
        sampler = nodes[decode["inputs"]["samples"][0]]["inputs"]
        assert (sampler["steps"], sampler["seed"]) == (steps, 5)
        model = nodes[sampler["model"][0]]
        assert (model["class_type"] == "FVGAnchorLatentInjector") == bool(WAYS[way].anchor)
        if WAYS[way].anchor:
            assert model["inputs"]["image"][0] == WAYS[way].anchor
            model = nodes[model["inputs"]["model"][0]]
        assert (model["class_type"] == "LoraLoaderModelOnly") == WAYS[way].lora
    assert nodes["raw"]["inputs"]["prompt"] == "a red ball spins"
    assert nodes["rewritten"]["inputs"]["prompt"] == ["rewriter", 0]
    assert BASE in WAYS


def test_weights_of_another_world_are_refused(tmp_path):
    path = tmp_path / "fvg_tiny_video.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"edition": "2"})
    require_second_edition(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="edition 1 of the tiny world"):
        require_second_edition(path)
