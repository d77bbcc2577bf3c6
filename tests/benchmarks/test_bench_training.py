"""The figures and the page of the training benchmark, on numbers one can check by hand."""

import pytest
import torch

from benchmarks import real_size, report, training, training_figures, training_report
from benchmarks.training_graphs import (
    HOST,
    HOST_BYPASS,
    HOST_STEPWISE,
    OURS,
    OURS_STEPWISE,
    Case,
    Size,
    encoding_anew,
)
from benchmarks.training_graphs import training_graph as graph_of
from benchmarks.training_graphs import updates as updates_of
from fvg_core.errors import HostError

MEMORY = {"before": 100_000_000, "loading": 150_000_000, "steps": 140_000_000}
SMALL = Size("small", pixels=64, length=17)


def record(times, *, device="cpu", memory=MEMORY, slower=1.0) -> dict:
    """A trainer whose bar advances after each of `times`; the wall sees twice the CPU's time.

    The first is the time from some zero to the first advance, which nobody counts.
    """
    now, stamps = 1000.0, []
    for value, seconds in enumerate(times, 1):
        now += slower * seconds
        stamps.append({"value": value, "cpu": now, "wall": 2 * now})
    return {"stamps": stamps, "memory": memory, "device": device, "torch_threads": 1}


def test_the_first_steps_do_not_count():
    assert training_figures.step_times(record([9, 7, 1, 2, 3]), "cpu") == [1, 2, 3]
    assert training_figures.step_times(record([9, 7, 1, 2, 3]), "wall") == [2, 4, 6]


def test_a_step_is_all_of_its_updates():
    times = [9, 9, 7, 7, 1, 2, 3, 4]
    assert training_figures.step_times(record(times), "cpu", updates=2) == [3, 7]


@pytest.mark.parametrize(
    ("times", "updates", "why"),
    [([1, 1], 1, "too few"), ([1] * 5, 2, "2 times a step"), ([], 1, "too few")],
)
def test_too_few_steps_are_refused(times, updates, why):
    with pytest.raises(HostError, match=why):
        training_figures.step_times(record(times), "cpu", updates)


def test_foreign_progress_is_refused():
    strange = record([1] * 5)
    strange["stamps"][2]["value"] = 1  # another bar began in between
    with pytest.raises(HostError, match="by one"):
        training_figures.step_times(strange, "cpu")


def sides(device="cpu", memory=MEMORY) -> dict:
    """Three rounds, each slower than the one before; ours takes 2 s a step, the host's 3."""
    rounds = (1.0, 1.5, 4.0)
    ours = [record([5, 5, 2, 2], device=device, slower=s, memory=memory) for s in rounds]
    less = None if memory is None else {**memory, "loading": 180_000_000}
    host = [record([5, 5, 3, 3], device=device, slower=s, memory=less) for s in rounds]
    return {OURS: ours, HOST: host}


def test_ratios_do_not_see_a_machine_that_slows_down():
    found = training_figures.evaluate(sides(), {OURS: 1, HOST: 1}, batch=4)
    assert found["sides"][HOST]["ours_faster"] == {
        "median": 1.5,
        "low": 1.5,
        "high": 1.5,
        "count": 3,
    }
    assert found["sides"][OURS]["ours_faster"]["median"] == 1
    # 4 samples in 2 s of CPU, which are 4 of the wall, in a quick round; 6 in the middle one.
    assert found["sides"][OURS]["samples_per_s"]["median"] == pytest.approx(4 / 6)
    assert found["sides"][OURS]["step_ms"]["median"] == pytest.approx(3000)


def test_a_gpu_is_timed_by_the_wall():
    found = training_figures.evaluate(sides("cuda"), {OURS: 1, HOST: 1}, batch=4)
    assert found["sides"][OURS]["step_ms"]["median"] == pytest.approx(6000)


def test_memory_is_what_training_adds():
    found = training_figures.evaluate(sides(), {OURS: 1, HOST: 1}, batch=4)["sides"]
    assert found[HOST]["memory_mb"] == {"before": 100, "loading": 80, "steps": 40}
    assert found[HOST]["memory_of_ours"] == pytest.approx(50 / 80, abs=1e-3)


def test_memory_of_one_by_one_is_compared_to_ours_one_by_one():
    little = {**MEMORY, "loading": 120_000_000, "steps": 110_000_000}
    records = {
        side: [record([1] * 4, memory=little)] * 2 for side in (OURS_STEPWISE, HOST_STEPWISE)
    }
    records[OURS] = [record([1] * 4)] * 2
    found = training_figures.evaluate(records, dict.fromkeys(records, 1), batch=4)["sides"]
    assert found[HOST_STEPWISE]["memory_of_ours"] == 1


def test_unknown_memory_stays_unknown():
    nobody_knows = dict.fromkeys(MEMORY)
    records = {OURS: [record([1] * 4, memory=nobody_knows)] * 2}
    found = training_figures.evaluate(records, {OURS: 1}, batch=1)["sides"][OURS]
    assert found["memory_mb"] is None
    assert found["memory_of_ours"] is None


def test_encoding_anew_is_split_into_samples():
    records = {"cached": [record([1, 1, 2, 2])] * 3, "encoded anew": [record([1, 1, 8, 8])] * 3}
    found = training_figures.in_pairs(records, batch=4)
    assert found["anew_over_cached"]["median"] == 4
    assert found["encoding_a_sample_ms"]["median"] == pytest.approx(6000 / 4)


def test_what_is_kept_is_told_from_plain_steps():
    # A checkpoint every 3rd step adds 1 s, a validation every 5th 4 s; steps take 2 s.
    times = [2 + (step % 3 == 0) + 4 * (step % 5 == 0) for step in range(1, 21)]
    found = training_figures.events(record(times), 3, 5, default_every=250)
    assert found["step_ms"]["median"] == pytest.approx(2000)
    assert found["checkpoint_ms"]["median"] == pytest.approx(1000)
    assert found["validation_ms"]["median"] == pytest.approx(4000)
    assert found["share_by_default"] == pytest.approx(5 / (2 * 250))


def test_both_trainers_get_the_same():
    case = Case(SMALL, "bf16", True, 4, steps=7, rounds=1)
    ours, host, stepwise = (
        graph_of(case, side, 3)["trainer"]["inputs"] for side in (OURS, HOST, HOST_STEPWISE)
    )
    for theirs in (host, stepwise):
        assert theirs["batch_size"] * theirs["grad_accumulation_steps"] == ours["batch"] == 4
        for name in ("steps", "rank", "learning_rate", "gradient_checkpointing", "model", "seed"):
            assert theirs[name] == ours[name]
        assert theirs["training_dtype"] == ours["dtype"] == "bf16"
    assert [updates_of(case, side) for side in (OURS, HOST, HOST_STEPWISE)] == [1, 1, 4]


def test_accumulating_is_one_sample_at_a_time():
    case = Case(SMALL, "fp32", False, 4, steps=7, rounds=1)
    at_once = [
        graph_of(case, s, 0)["trainer"]["inputs"]["micro_batch"] for s in (OURS, OURS_STEPWISE)
    ]
    assert at_once == [4, 1]


def test_only_the_dataset_differs_when_it_is_encoded_anew():
    cached = graph_of(Case(SMALL, "fp32", False, 4, steps=7, rounds=1), OURS, 3)
    anew = encoding_anew(cached)
    assert anew.keys() - cached.keys() == {"anew"}
    assert [name for name in cached if anew[name] != cached[name]] == ["start"]
    assert anew["start"]["inputs"]["dataset"] == ["anew", 0]
    assert cached["start"]["inputs"]["dataset"] == ["dataset", 0]


def test_enough_steps_are_planned_for_what_is_kept():
    steps = range(3, 2 * training.VALIDATE_EVERY + 1)  # the shortest look
    alone = [s % training.CHECKPOINT_EVERY == 0 and s % training.VALIDATE_EVERY for s in steps]
    assert sum(map(bool, alone)) >= 2
    assert any(s % training.VALIDATE_EVERY == 0 and s % training.CHECKPOINT_EVERY for s in steps)


def result() -> dict:
    case = {"size": vars(SMALL), "dtype": "fp32", "gradient_checkpointing": False, "batch": 1}
    measured = training_figures.evaluate(
        {**sides(), HOST_BYPASS: [record([1, 1, 1, 1])] * 3},
        dict.fromkeys((OURS, HOST, HOST_BYPASS), 1),
        1,
    )
    times = [2 + (s % 3 == 0) + 4 * (s % 5 == 0) for s in range(1, 21)]
    kept = training_figures.events(record(times), 3, 5, 250)
    pairs = {"cached": [record([1] * 4)] * 2, "encoded anew": [record([1, 1, 3, 3])] * 2}
    return {
        "date": "2026-01-02", "commit": "abc", "command": "`make bench`",
        "machine": dict.fromkeys(
            ("cpu", "cores", "memory_gb", "gpu", "load_average", "system", "python", "torch",
             "comfyui"), "x",
        ),
        "training": {
            "against": [{"case": case, "name": "one", **measured}],
            "caching": [{"name": "one", **training_figures.in_pairs(pairs, 1)}],
            "keeping": {"case": {**case, "batch": 16}, "losses": kept, "videos": kept},
        },
    }  # fmt: skip


def test_the_page_is_whole_and_readable(tmp_path):
    page = training_report.table(result())
    paths = report.write(result(), page, tmp_path / "day", "training")
    assert [p.name for p in paths] == ["training.json", "training.md"]
    assert paths[1].read_text() == page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    host, bypass = (
        next(r for r in rows if r.startswith(f"|  | {s} |")) for s in (HOST, HOST_BYPASS)
    )
    assert "1.50 (1.50 to 1.50, n=3)" in host
    assert host.endswith("| met | 80 | 0.62 | met |")
    assert bypass.endswith("| missed | 50 | 1.00 | met |")  # ours is slower there
    assert "| losses | 2000.0 (2000.0 to 2000.0, n=9) | 1000.0" in page
    assert "| 1.00% |" in page
    for first, *others in _tables(page):
        assert {row.count("|") for row in others} == {first.count("|")}


def _tables(page: str) -> list[list[str]]:
    blocks = page.split("\n\n")
    return [t for t in ([r for r in b.splitlines() if r[:1] == "|"] for b in blocks) if t]


def test_a_real_size_is_measured_and_shown():
    cpu = torch.device("cpu")
    size = real_size.Size(heads=1, ffn=64, layers=1, latent=(2, 4, 4))
    backbone = real_size.build(size, cpu, torch.bfloat16)
    case = real_size.measure(backbone, size, 4, cpu)
    assert case["seconds"]["count"] == real_size.STEPS
    assert case["planned_bytes"] > sum(p.nbytes for p in backbone.module.parameters())
    shares = [share for _, share in case["operations"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.001
    about = dict.fromkeys(
        ("cpu", "cores", "memory_gb", "gpu", "load_average", "system", "python", "torch",
         "comfyui"), "x",
    )  # fmt: skip
    found = {"date": "x", "commit": "x", "command": "x", "machine": about}
    page = real_size.table(
        {**found, "real_size": [{"model": "1.3B", "latent": size.latent, **case}]}
    )
    assert "| 1.3B | 2 x 4 x 4 | 4 |" in page
