"""Tables 4 and 5: how much videos of one prompt differ, in score and in pixels.

Of each prompt the same number of videos: T2V over seeds and over wordings (with one seed), FVG
over seeds, over the noise of the video alone on one anchor (motion diversity, section 7), and over
anchors alone (the same noise).
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np

from benchmarks.paper.graphs import Graph
from benchmarks.paper.tables import Row, counted, text_of
from benchmarks.paper.ways import FEW, FVG, T2V, WAYS, Words
from fvg_core.categories import CATEGORIES
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.scenes import Scene
from fvg_core.tiny.scorer import RIGHT

SEEDS, WORDINGS, WHOLE, NOISE, ANCHORS = (
    "T2V, seeds",
    "T2V, wordings",
    "FVG, seeds",
    "FVG, one anchor",
    "FVG, anchors",
)
SETS = (SEEDS, WORDINGS, WHOLE, NOISE, ANCHORS)
T2V_STEPS = 50
FROM = 10**9  # its seeds, far from those of the other tables
# T2V over seeds against FVG over anchors; Table 5 of the paper, Wan 2.2 5B.
PAPER = dict(
    zip(
        CATEGORIES,
        ((0.0117, 0.0039), (0.0203, 0.0113), (0.1659, 0.0092), (0.0053, 0.0031),
         (0.2180, 0.0144), (0.2401, 0.0128), (0.0171, 0.0201)),
        strict=True,
    )
)  # fmt: skip


def wordings(scene: Scene, count: int) -> list[str]:
    """The prompt in `count` different ways to say it."""
    rng = random.Random(0)
    found: dict[str, None] = {}
    for _ in range(50 * count):
        found[text(prompt_spans(scene.prompt, rng))] = None
        if len(found) == count:
            break
    return list(itertools.islice(itertools.cycle(found), count))


def spread_graph(words: Words, scene: Scene, file: str, seed: int, count: int) -> Graph:
    """All of SETS on one prompt. Saves have the names `<set>` or `<set>/<number>`."""
    graph, plain, fvg = Graph(words, file), WAYS[T2V], WAYS[FVG]
    drawn = graph.anchors("rewritten", seed, count)
    first = graph.one_anchor(drawn, 0)
    graph.video(SEEDS, plain, T2V_STEPS, seed, count)
    graph.video(WHOLE, fvg, FEW, seed, count)
    graph.video(NOISE, fvg, FEW, seed, count, anchor=first)
    for i, said in enumerate(wordings(scene, count)):
        told = graph.wording(f"wording {i}", said)
        graph.video(f"{WORDINGS}/{i}", plain, T2V_STEPS, seed, 1, text=told)
        picture = graph.one_anchor(drawn, i)
        graph.video(f"{ANCHORS}/{i}", fvg, FEW, seed, 1, anchor=picture)
    return graph


def gather(videos: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Videos [N, F, H, W, 3] of each of SETS from those of each save."""
    of = lambda name: [v for save, v in videos.items() if save.split("/")[0] == name]
    return {name: np.concatenate(of(name)) for name in SETS}


def diversity(videos: np.ndarray) -> float:
    """Mean over all pairs of uint8 videos [N, F, H, W, 3] of their distance: root mean square of
    the differences of pixels, 0 to 1, frame 0 left out."""
    flat = videos[:, 1:].reshape(len(videos), -1).astype(np.float32) / 255
    pairs = itertools.combinations(flat, 2)
    return float(np.mean([np.sqrt(np.mean((a - b) ** 2)) for a, b in pairs]))


def diversity_of_right(videos: np.ndarray, scores: list[float]) -> float | None:
    """`diversity` of those videos that show their prompt; None for fewer than two (section 7: what
    is wrong should not count as diverse)."""
    right = videos[np.array(scores) >= RIGHT]
    return diversity(right) if len(right) > 1 else None


def deviations(rows: list[Row], name: str) -> dict[str, tuple[float, float]]:
    """By category the standard deviation over the numbered videos of a set: of the mean score of
    all prompts, the paper's way (Table 5), and of one prompt's scores, averaged over prompts."""
    found = {}
    for category in CATEGORIES:
        scores = [row["scores"][name] for row in rows if row["category"] == category]
        if scores:
            of_mean = np.std(np.mean(scores, axis=0), ddof=1)
            within = np.mean(np.std(scores, axis=1, ddof=1))
            found[category] = float(of_mean), float(within)
    return found


def markdown(rows: list[Row]) -> str:
    """Both tables."""
    count = len(rows[0]["scores"][SEEDS])
    per = len(rows) // len({row["category"] for row in rows})
    lines = [
        f"## Table 4: diversity of {count} videos of a prompt",
        "",
        "Mean distance of pairs of videos: root mean square of the differences of pixels (0 to 1), "
        f"without frame 0. *Right*: of those that score {RIGHT} or more, where there are two. "
        f"± 95% over {counted(len(rows), 'prompt')}.",
        "",
        "| | all | right | prompts with two right |",
        "|---|---|---|---|",
    ]
    for name in SETS:
        whole = [row["diversity"][name] for row in rows]
        right = [row["diversity right"][name] for row in rows]
        right = [value for value in right if value is not None]
        mean = text_of(right) if right else "none"
        lines.append(f"| {name} | {text_of(whole)} | {mean} | {len(right)} |")
    return "\n".join([*lines, "", *_deviations(rows, count, per)]) + "\n"


def _deviations(rows: list[Row], count: int, per: int) -> list[str]:
    seeds, anchors = (deviations(rows, name) for name in (SEEDS, ANCHORS))
    lines = [
        "## Table 5: deviation over seeds and over anchors",
        "",
        f"Standard deviation over {count} T2V videos of other seeds ({T2V_STEPS} steps) and over "
        f"{count} FVG videos of other anchors and the same noise ({FEW} steps), "
        f"{counted(per, 'prompt')} a category. *Of the mean*: of the category's mean score, as in "
        "the paper; *within*: of a prompt's scores.",
        "",
        "| category | of the mean: seeds | anchors | ratio | paper's ratio | within: seeds | "
        "anchors | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    both = {c: list(zip(seeds[c], anchors[c], strict=True)) for c in seeds}
    table = {c: (*of_mean, *PAPER[c], *within) for c, (of_mean, within) in both.items()}
    table["average"] = tuple(float(np.mean(column)) for column in zip(*table.values(), strict=True))
    for category, (a, b, paper_a, paper_b, c, d) in table.items():
        lines.append(
            f"| {category} | {a:.4f} | {b:.4f} | {ratio(a, b)} | {ratio(paper_a, paper_b)} | "
            f"{c:.4f} | {d:.4f} | {ratio(c, d)} |"
        )
    return lines


def ratio(a: float, b: float) -> str:
    """'3.0x', or what stands for it where nothing deviates."""
    return f"{a / b:.1f}x" if b else "-"


def row_of(videos: dict[str, np.ndarray], scores: dict[str, list[float]]) -> dict[str, Any]:
    """What is kept of one prompt: scores and diversities by set."""
    return {
        "scores": scores,
        "diversity": {name: diversity(v) for name, v in videos.items()},
        "diversity right": {
            name: diversity_of_right(v, scores[name]) for name, v in videos.items()
        },
    }
