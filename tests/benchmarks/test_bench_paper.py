"""The paper's tables from scores that are known, and the graphs that make them."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from benchmarks.paper import cost, goals, pictures, run, spread
from benchmarks.paper.__main__ import page
from benchmarks.paper.graphs import ways_graph
from benchmarks.paper.tables import (
    MAIN,
    against,
    average,
    change,
    interval,
    markdown,
    text_of,
    unseen,
    values,
)
from benchmarks.paper.ways import (
    ALL_STEPS,
    FVG,
    NO_LORA,
    NOISED,
    SHARED,
    T2V,
    TRUE_STILL,
    WAYS,
    Words,
    cells,
    key,
    table1,
)
from fvg_core.categories import CATEGORIES
from fvg_core.prompts import rewrite
from fvg_core.tiny.captions import motion_text, prompt_spans, text
from fvg_core.tiny.render import FRAMES, SIZE, render
from fvg_core.tiny.scenes import sample_scene
from fvg_core.tiny.scorer import RIGHT
from fvg_core.tiny.words import STATIC, Actor, Prompt

STEPS = (50, 15)
REWRITER = "FVGFirstFramePromptRewriter"
WORDS = Words("a red ball spins", "a red ball spins on a gray background", "a red ball spins.")


def rows(count: int = 5, fvg: float = 0.6) -> list[dict]:
    """T2V scores 0.4 at 50 steps and loses 0.1 at 15; others 0.6; prompts differ by 0.05."""
    base = {"T2V/50": 0.4, "T2V/15": 0.3, "FVG/50": fvg, "FVG/15": fvg}
    level = lambda cell, i: base.get(key(cell), 0.6) + 0.05 * i
    return [
        {
            "category": category,
            "index": i,
            "names_all": i != 1,
            "scores": {key(c): [level(c, i) - 0.02, level(c, i) + 0.02] for c in cells(STEPS)},
            "scene": {key(c): [0.75] for c in table1(STEPS)},
        }
        for category in CATEGORIES
        for i in range(count)
    ]


def test_prompts_count_once_and_categories_alike():
    found = rows()
    found.append({**found[0], "index": 9, "scores": {k: [1.0] for k in found[0]["scores"]}})
    by_category = values(found, "T2V/50")
    first = [0.4, 0.45, 0.5, 0.55, 0.6, 1.0]
    assert by_category[CATEGORIES[0]] == pytest.approx(first)
    expected = (6 * 0.5 + np.mean(first)) / 7
    assert average(by_category)[0] == pytest.approx(expected)


def test_intervals_are_those_of_t_tests():
    """Of one sample, and of Welch's for two: the average of a and -b is half a difference."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 6), rng.normal(0, 3, 9)
    mean, half = interval(a)
    assert (mean - half, mean + half) == pytest.approx(
        tuple(stats.ttest_1samp(a, 0).confidence_interval())
    )
    mean, half = average({"a": a, "b": -b})
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (mean - half, mean + half) == pytest.approx((low / 2, high / 2))


def test_few_prompts_have_no_interval():
    assert text_of([0.1, 0.2, 0.3, 0.4]) == "0.250"
    assert np.isnan(average({"a": np.arange(4.0), "b": np.arange(9.0)})[1])
    assert "±" not in markdown(rows(4), STEPS)


def holds(found: list[dict]) -> list[str]:
    table = goals.markdown(found).splitlines()[6:]
    return [line.split(" | ")[-1].removesuffix(" |") for line in table if line]


CROSSES = "cannot be said: the interval crosses"


def test_goals_are_met_missed_or_left_open():
    assert len(goals.GOALS) == 5
    # That 70 videos lose nothing does not say that less than 2% of all do.
    assert holds(rows(fvg=0.8)) == ["yes", "yes", "yes", CROSSES, "yes"]
    # 0.6 to 0.8 over 0.4 to 0.6 is 40% more: too near to 42%; and just as much as the others.
    assert holds(rows(fvg=0.6)) == [CROSSES, CROSSES, CROSSES, CROSSES, "yes"]
    assert holds(rows(fvg=0.5)) == ["no", "no", "no", CROSSES, "yes"]
    worse = rows(fvg=0.8)
    for row in worse:
        row["scores"] |= {"FVG/15": [0.5], "T2V/15": row["scores"]["T2V/50"]}
    assert holds(worse)[3:] == ["no", "no"]


def losing(rng: np.random.Generator, prompts: int, seeds: int, right: float, lost: float):
    """Rows in which FVG's videos are right or wrong, and a share of the right ones is lost with
    fewer steps."""
    most = rng.random((7 * prompts, seeds)) < right
    few = most & (rng.random(most.shape) >= lost)
    return [
        {"category": CATEGORIES[i % 7], "scores": {"FVG/50": a.tolist(), "FVG/15": b.tolist()}}
        for i, (a, b) in enumerate(zip(most, few, strict=True))
    ]


@pytest.mark.parametrize(("prompts", "seeds"), [(10, 1), (16, 3)], ids=["70", "336"])
@pytest.mark.parametrize("right", [0.53, 0.75])
def test_a_loss_at_the_limit_is_seldom_called_none(prompts, seeds, right):
    """2% of the videos are lost, and all of them whole: many runs see none or one."""
    rng = np.random.default_rng(0)
    (goal,) = (g for g in goals.GOALS if "2% at most" in g.says)
    found = [goals.margin(losing(rng, prompts, seeds, right, 0.02), goal) for _ in range(500)]
    assert np.mean([goals.verdict(margin) == "yes" for margin in found]) <= 0.06


def test_no_loss_in_many_videos_is_none():
    rng = np.random.default_rng(0)
    (goal,) = (g for g in goals.GOALS if "2% at most" in g.says)
    margins = {n: goals.margin(losing(rng, n, 3, 0.75, 0.0), goal) for n in (3, 5, 16)}
    said = {n: goals.verdict(margin) for n, margin in margins.items()}
    assert said == {3: "cannot be said: too few prompts", 5: CROSSES, 16: "yes"}


def test_scores_that_are_alike_are_not_certain():
    """What n videos never showed may still happen in 3 / n of them."""
    found = rows(5)
    assert against(found, "FVG/15", "FVG/50") == pytest.approx((0, 3 / 70))
    (line,) = [x for x in goals.markdown(found).splitlines() if "2% at most" in x]
    assert "| +0.000 ± 0.043 | +0.0% | +0.014 ± 0.043 |" in line
    assert "± 0.000" not in goals.markdown(found) + markdown(found, STEPS)
    assert unseen((0.1, 0.4), 10) == pytest.approx((0.1, 0.5))


def test_goals_need_their_rows_and_enough_prompts():
    assert set(holds(rows(4, fvg=0.8))) == {"cannot be said: too few prompts"}
    found = rows(fvg=0.8)
    for row in found:
        del row["scores"]["FVG/50"]
    assert holds(found) == ["yes", "yes", "yes", "cannot be said: not made", "yes"]


def test_fvg_is_held_against_the_lora_without_an_anchor():
    found = rows(fvg=0.8)
    for row in found:
        row["scores"]["T2V + LoRA, no anchor/50"] = row["scores"]["FVG/15"]
    (line,) = [x for x in goals.markdown(found).splitlines() if "with the LoRA" in x]
    assert f"+0.000 ± 0.043 | {CROSSES} |" in line


def test_what_upsampling_cannot_gain_is_told_at_its_row_and_its_goal():
    of_row = markdown(rows(), STEPS).split("## Table 1")[0]
    for part in (goals.markdown(rows()), of_row):
        assert "adds the ground, its texture and the plainest words, which no score here" in part


def test_the_way_that_does_best_without_the_lora_is_named():
    found = rows()
    for row in found:
        row["scores"] |= {f"{NO_LORA}/15": [0.1], f"{NOISED}/15": [0.2], f"{SHARED}/15": [0.5]}
    part = markdown(found, STEPS).split("## Section 4.1")[1].split("##")[0]
    assert f"*{SHARED}* (0.500) comes nearest" in part


def test_a_margin_is_seen_beside_the_difference():
    (line,) = [x for x in goals.markdown(rows(fvg=0.8)).splitlines() if "42%" in x]
    assert "| +0.400 ± 0.043 | +80.0% | +0.190 ± 0.0" in line  # .9 - 1.42 x .5


def test_the_page_begins_with_the_goals():
    record = {"date": "2026-01-01", "commit": "c", "machine": {"comfyui": "1.0"}}
    seconds = {key(cell): [2.0] for cell in cost.CLOCKED}
    found = {
        "ways": rows(1),
        "spread": [spread_row(c, 0) for c in CATEGORIES],
        "cost": {"flops of one call": PARTS, "seconds": seconds},
    }
    plan = replace(run.QUICK, prompts=1, seeds=1, steps=STEPS)
    said = page(found, record, plan)
    assert said.index("## The goals") < said.index("## Table 2")
    assert "1 held-out prompt of each category x 1 seed, " in said
    assert "over 7 prompts." in said
    assert "1 prompt a category" in said
    assert "1 pair in turn" in said
    assert "2 held-out prompts of each category x 3 seeds," in page(
        found, record, replace(plan, prompts=2, seeds=3)
    )


def test_paired_differences_do_not_see_how_prompts_differ():
    found = rows()
    mean, half = against(found, "FVG/15", "T2V/50")
    assert mean == pytest.approx(0.2)
    assert half == pytest.approx(3 / 70)
    assert average(values(found, "FVG/15"))[1] > 0.01


def test_the_page_has_every_way_and_the_change_with_steps(tmp_path):
    page = markdown(rows(), STEPS)
    for way, steps in cells(STEPS):
        assert f"| {way} | {steps} |" in page
    assert "| FVG | 15 | " in page
    assert "| T2V | 50 | 0.750 | 0.500 ± " in page
    assert "+0.200 ± 0.043 | +40.0% |" in page.split("## Table 1")[0]  # .7 over .5
    assert f"- {CATEGORIES[0]}: 4 of 5" in page
    changed = page.split("## Table 7")[1]
    assert "| T2V | 15 | -0.100 ± 0.043 | -20.0% |" in changed
    assert "| FVG | 15 | +0.000 ± 0.043 | +0.0% |" in changed
    assert all(way in changed for way in MAIN)
    assert "raw caption" not in changed  # made at 15 steps only
    assert change(rows(), STEPS)["T2V"] == pytest.approx({50: 0, 15: -100 * 0.1 / 0.5})
    drawn = pictures.draw(rows(), STEPS, tmp_path)
    assert [p.name for p in drawn] == ["table2.png", "steps.png"]
    assert all(p.stat().st_size > 5000 for p in drawn)


def test_table_2_is_told_in_two_halves():
    """FVG is ahead where a picture does, and not where something must happen."""
    found = rows()
    for row in found:
        static = row["category"] in STATIC
        row["scores"] |= {"FVG/15": [0.9 if static else 0.2], f"{TRUE_STILL}/0": [float(static)]}
    part = markdown(found, STEPS).split("## Table 2 in two")[1].split("##")[0]
    assert "never moves earns 0.429 on average" in part
    assert "has 1.000 in consistent_attr, spatial_relationships, generative_numeracy, where" in part
    assert "and 0.000 in the others" in part
    (line,) = [x for x in part.splitlines() if x.startswith("| FVG | 15 ")]
    cells = line.split(" | ")[2:]
    assert [cell.split(" ± ")[0] for cell in cells] == ["0.900", "+0.400", "0.200", "-0.300"]
    (line,) = [x for x in part.splitlines() if x.startswith("| T2V | 50 | 0.500 ± ")]
    assert line.split(" | ")[3].strip() == ""  # nothing against itself


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def test_a_frame_held_still_earns_the_static_categories():
    for item in run.items(2):
        first = render([item.scene], [0])[0, 0].numpy()
        (video,) = run.held_still([png(first)])
        assert video.shape == (FRAMES, SIZE, SIZE, 3)
        assert (video == first).all()
        assert run.scored({"": [video]}, item.scene) == {"": [float(item.category in STATIC)]}


def test_the_graph_has_one_video_for_each_way_and_number_of_steps():
    wanted = cells(ALL_STEPS)
    assert set(wanted) == {(w, n) for w, way in WAYS.items() for n in way.steps}
    graph = ways_graph(WORDS, "frame.png", 5, 2, wanted)
    nodes = graph.nodes
    for name, steps in wanted:
        way = WAYS[name]
        if way.held == "still":  # the very anchors of FVG, and no sampler
            assert nodes[graph.stills[key((name, steps))]]["inputs"]["images"][0] == (
                f"{way.anchor}/5x2"
            )
            continue
        decode = nodes[nodes[graph.saves[key((name, steps))]]["inputs"]["images"][0]]
        sampler = nodes[decode["inputs"]["samples"][0]]["inputs"]
        assert (sampler["steps"], sampler["seed"]) == (steps, 5)
        said = nodes[sampler["positive"][0]]["inputs"]["text"]
        rewriter = way.anchor == "rewritten" and way.words == "original"
        assert said == (["rewriter", 1] if rewriter else getattr(WORDS, way.words))
        model = nodes[sampler["model"][0]]
        if name == NOISED:
            assert nodes[sampler["latent_image"][0]]["class_type"] == "FVGAnchorLatentInjector"
            model = nodes[model["inputs"]["model"][0]]
        elif way.anchor:
            if way.held == "shared time":
                model = nodes[model["inputs"]["model"][0]]
            assert model["class_type"] == "FVGAnchorLatentInjector"
            assert model["inputs"]["image"][0] == f"{way.anchor}/5x2"
            model = nodes[model["inputs"]["model"][0]]
        assert (model["class_type"] == "LoraLoaderModelOnly") == way.lora
    assert nodes["raw/5x2"]["inputs"]["prompt"] == WORDS.original
    assert nodes["rewritten/5x2"]["inputs"]["prompt"] == ["rewriter", 0]


def noises(nodes: dict) -> set[int]:
    """Every seed of a graph; those of candidates count up."""
    given = [node["inputs"] for node in nodes.values() if node["class_type"] != REWRITER]
    return {
        inputs["seed"] + i
        for inputs in given
        if "seed" in inputs
        for i in range(inputs.get("candidates", 1))
    }


def test_no_two_prompts_share_a_noise():
    """Of the tables, of Tables 4 and 5, and of the clock, also where many are asked for."""
    seen: dict[int, str] = {}
    for item in run.items(20):
        graphs = {
            "ways": ways_graph(WORDS, "frame.png", item.seed, run.FULL.seeds, cells((15,))),
            "spread": spread.spread_graph(
                WORDS, item.scene, "frame.png", spread.FROM + item.seed, run.FULL.repeats
            ),
        }
        for plan, graph in graphs.items():
            for noise in noises(graph.nodes):
                mine = f"{plan} {item.category} {item.index}"
                assert seen.setdefault(noise, mine) == mine
    assert not seen.keys() & set(range(cost.FROM, cost.FROM + 1000))


def test_a_clocked_video_asks_the_rewriter_only_where_its_way_does():
    """Nothing but models and the empty prompt is the same for both, or the host would keep what
    the first made and the second would cost less than it does."""
    plain, fvg = (ways_graph(WORDS, "frame.png", 5, 1, [c]).nodes for c in ((T2V, 50), (FVG, 15)))
    assert "rewriter" not in plain
    assert "rewriter" in fvg
    shared = {name for name, node in plain.items() if fvg.get(name) == node}
    assert shared == {"world", "lora", "file", "text/none"}


@pytest.mark.parametrize("category", CATEGORIES)
def test_upsampled_and_motion_words_say_the_same_event(category):
    for i in range(20):
        prompt = sample_scene(random.Random(i), category, held_out=True).prompt
        full, motion = text(prompt_spans(prompt)), motion_text(prompt)
        assert f" {prompt.ground} background" in full
        assert "background" not in motion
        told = full.rsplit(" on a ", 1)[0]
        parts = motion.replace(" and ", ", ").split(", ")
        assert all(part in told for part in parts)
        moving = [a for a in prompt.actors if a.does != "rests"]
        assert all(a.color in motion for a in moving)
        if moving:
            still = [a for a in prompt.actors if a.does == "rests"]
            assert not any(f"{a.color} " in motion for a in still)


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("Two red crosses and a blue box on a dotted navy background.", True),
        ("A blue square, two red plus signs.", True),
        ("Two red and a blue box on a dotted navy background.", False),
        ("A red cross and a blue box.", False),
        ("Two red crosses.", False),
    ],
)
def test_what_a_first_frame_prompt_leaves_out(said, whole):
    actors = (Actor("red", "cross", count=2), Actor("blue", "square"))
    prompt = Prompt("generative_numeracy", actors, "navy", "dotted")
    assert run.names_all(said, prompt) == whole


def test_the_rules_leave_nobody_out():
    for item in run.items(12):
        said = rewrite(item.words.original).first_frame_prompt
        assert run.names_all(said, item.scene.prompt), said


def spread_row(category: str, i: int) -> dict:
    """T2V's videos differ by 0.3 around a prompt's level, FVG's over anchors by 0.1."""
    levels = {spread.SEEDS: 0.3, spread.ANCHORS: 0.1}
    around = lambda name: [0.5 + 0.01 * i + levels.get(name, 0.2) * k for k in (-1, 0, 1)]
    return {
        "category": category,
        "index": i,
        "scores": {name: around(name) for name in spread.SETS},
        "diversity": {name: 0.1 + 0.02 * i for name in spread.SETS},
        "diversity right": {name: None if i else 0.1 for name in spread.SETS},
    }


def test_deviations_are_of_the_mean_and_within_prompts():
    found = [spread_row(c, i) for c in CATEGORIES for i in range(2)]
    for name, width in ((spread.SEEDS, 0.3), (spread.ANCHORS, 0.1)):
        for pair in spread.deviations(found, name).values():
            assert pair == pytest.approx((width, width))
    # Videos that cancel out over prompts: none of the mean, all within.
    turned = [
        {**row, "scores": {n: s[::-1] if row["index"] else s for n, s in row["scores"].items()}}
        for row in found
    ]
    for of_mean, within in spread.deviations(turned, spread.SEEDS).values():
        assert (of_mean, within) == pytest.approx((0, 0.3), abs=1e-9)
    page = spread.markdown(found)
    assert "| average | 0.3000 | 0.1000 | 3.0x | 9.1x |" in page  # as the paper says of itself
    assert "| T2V, wordings | 0.110 ± " in page
    assert f"that score {RIGHT} or more" in page


def test_diversity_is_the_mean_distance_of_pairs():
    videos = np.zeros((3, 2, 4, 4, 3), np.uint8)
    videos[1, 1], videos[:, 0] = 255, 99  # frame 0 does not count
    videos[2, 0] = 7
    assert spread.diversity(videos) == pytest.approx(2 / 3)
    assert spread.diversity_of_right(videos, [1.0, 0.0, 0.5]) == 0
    assert spread.diversity_of_right(videos, [1.0, 0.0, 0.4]) is None


def test_wordings_differ_where_they_can():
    scene = sample_scene(random.Random(3), "action_binding", held_out=True)
    said = spread.wordings(scene, 8)
    assert len(set(said)) == 8
    assert all(actor.color in line for line in said for actor in scene.prompt.actors)


PARTS = {"text": 1, "video": 10, "image": 2, "encode": 3, "decode video": 7, "decode image": 4}


def test_costs_add_up():
    whole = cost.totals(PARTS)
    assert sum(whole["T2V"].values()) == 2 + 2 * 50 * 10 + 7
    assert sum(whole["FVG"].values()) == 4 + 2 * 15 * 10 + 7 + 2 * 30 * 2 + 4 + 3
    seconds = {"T2V/50": [4.0, 4.0], "FVG/15": [2.0, 2.0]}
    page = cost.markdown({"flops of one call": PARTS, "seconds": seconds})
    assert "2.00 (2.00 to 2.00, n=2) (paper: 2.1)" in page
    assert "of fewer than 8 values the least and the greatest" in page
