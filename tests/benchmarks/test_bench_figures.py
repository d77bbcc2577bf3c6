"""The statistics and the report of the benchmarks, on numbers one can check by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import report, start, steps
from benchmarks.figures import Figure, added, ratios, summarise
from fvg_core.errors import HostError

values = st.lists(st.integers(1, 10**6), min_size=1, max_size=30)


def test_median_and_quartiles():
    assert summarise([9, 5, 1, 4, 8, 2, 7, 3, 6]) == Figure(5, 3, 7, 9)
    assert summarise([1, 2, 3, 4, 5, 6, 7, 8]).text(1) == "4.5 (2.8 to 6.2, n=8)"


def test_of_few_values_the_least_and_the_greatest_are_told():
    assert summarise([7]) == Figure(7, 7, 7, 1)
    assert summarise([5, 1, 4, 2, 3]) == Figure(3, 1, 5, 5)
    pairs = ratios([1.164, 0.982, 1.343], [1, 1, 1])  # quartiles: 1.07 to 1.25
    assert pairs.text(2) == "1.16 (0.98 to 1.34, n=3)"


def test_nothing_is_no_figure():
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


@given(values)
def test_the_spread_encloses_the_median(values):
    figure = summarise(values)
    assert min(values) <= figure.low <= figure.median <= figure.high <= max(values)


@given(values, st.floats(0.5, 2))
def test_ratios_do_not_see_a_machine_that_slows_down(values, factor):
    figure = ratios([factor * v for v in values], values)
    assert figure.median == pytest.approx(factor)
    assert figure.high - figure.low == pytest.approx(0, abs=1e-9)


def test_added_is_the_share_of_the_whole():
    assert added([3, 6], [1, 2], [100, 200]).median == pytest.approx(1.02)


@pytest.mark.parametrize("pair", [ratios, lambda a, b: added(a, b, b)])
def test_pairs_must_match(pair):
    with pytest.raises(ValueError, match=r"pair|as many"):
        pair([1, 2], [1])


def _record() -> dict:
    """Steps of 10; the model takes 9 of them, our code another 0.5, its anchors 1."""
    more = {"stock": 0, "stock again": 0, "plain": 0.5, "anchored": 1.0, "shown": 2.0}
    step = {name: {"step": 10 + m, "model": 9, "evaluations": 2} for name, m in more.items()}
    whole = {k: {**v, "step_cpu": v["step"], "model_cpu": v["model"]} for k, v in step.items()}
    runs = {name: [[one] * 3] * 4 for name, one in whole.items()}
    runs["shared"] = [{"model": 8, "model_cpu": 8}] * 5
    runs["each"] = [{"model": 9, "model_cpu": 10}] * 5
    return {"device": "cpu", "latent": [1, 16, 5, 8, 8], "runs": runs}


def test_steps_are_split_into_model_and_the_rest():
    found = steps.evaluate(_record())
    median = {name: figure["median"] for name, figure in found["ratios"].items()}
    assert median["noise"] == 1
    assert median["plain"] == median["plain_around"] == pytest.approx(1.05)
    assert median["anchored_around"] == pytest.approx(1.1)
    assert median["modulation"] == 10 / 8
    assert median["everything"] == pytest.approx(12 / (10 * 10 / 8))
    assert found["milliseconds"]["around stock"]["median"] == pytest.approx(1000)


def test_unequal_work_is_refused():
    record = _record()
    record["runs"]["plain"] = [[{**record["runs"]["plain"][0][0], "evaluations": 1}]]
    with pytest.raises(HostError, match=r"\[1, 2\] times"):
        steps.evaluate(record)


def test_imports_are_read_between_the_marks():
    log = f"""import time:       900 |        900 | before
{start.BEGIN}
noise
import time:       124 |        124 |   somewhere/custom_nodes/comfyui-fvg.fvg_core.errors
import time:      2000 |       2124 | somewhere/custom_nodes/comfyui-fvg.nodes
import time:        76 |         76 | lone
{start.END}
import time:       900 |        900 | after"""
    own = start.parse_imports(log.splitlines())
    assert own == {"fvg_core.errors": 0.124, "nodes": 2.0, "lone": 0.076}
    assert start.slowest(own, 1) == {"nodes": 2.0, "2 others": 0.2}


def test_report_is_whole_and_readable(tmp_path):
    case = {"case": {"dim": 0, "layers": 0, "cfg": 5.0}, **steps.evaluate(_record())}
    one = {"median": 0.03, "low": 0.02, "high": 0.04, "count": 4}
    parts = ("load", "load_collections", "collections_with", "collections_without")
    parts += ("start_with", "start_without", "difference")
    seconds = [f"{part}_s" for part in parts]
    run = {"whole_s": 20.0, "start_s": 8.0, "run_s": 9.0}
    results = {
        "date": "2026-01-02",
        "commit": "abc",
        "command": "`make bench`",
        "machine": dict.fromkeys(
            ("cpu", "cores", "memory_gb", "gpu", "load_average", "system", "python", "torch",
             "comfyui"), "x",
        ),
        "steps": {"tiny": case},
        "start": dict.fromkeys(seconds, one) | {"modules": {"nodes": 2.0}},
        "demo": {"warm": {"first": run, "second": run}, "cold": {"first": run, **run}},
    }  # fmt: skip
    paths = report.write(results, report.table(results), tmp_path / "day")
    assert sorted(p.name for p in (tmp_path / "day").iterdir()) == [p.name for p in paths]
    assert json.loads(paths[0].read_text()) == results
    page = paths[1].read_text()
    assert "1.050 (1.050 to 1.050, n=4) | <= 1.01" in page
    assert "| warm, second run | 20.0 | 8.0 | 9.0 | <= 60 |" in page
