"""Plots of the tables, and contact sheets of what was scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.paper.tables import MAIN, Row, average, change, interval, values
from benchmarks.paper.ways import FEW, FVG, WAYS, Words, key
from fvg_core.bench.sheet import Row as Tiles
from fvg_core.bench.sheet import Sheet, draw_sheet
from fvg_core.bench.video import spread
from fvg_core.categories import CATEGORIES

_SHOWN = 8  # frames of a sheet's row


def draw(rows: list[Row], steps: tuple[int, ...], folder: Path) -> list[Path]:
    """`table2.png`: the main ways by category; `steps.png`: Fig. 4, where there are more steps
    than one."""
    import matplotlib

    matplotlib.use("Agg")
    made = [_bars(rows, steps, folder / "table2.png")]
    if len(steps) > 1:
        made.append(_curves(rows, steps, folder / "steps.png"))
    return made


def _bars(rows: list[Row], steps: tuple[int, ...], path: Path) -> Path:
    from matplotlib import pyplot

    most = max(steps)
    present = [c for c in CATEGORIES if any(r["category"] == c for r in rows)]
    figure, axes = pyplot.subplots(figsize=(11, 4))
    for i, way in enumerate(MAIN):
        n = FEW if WAYS[way].anchor and FEW in steps else most
        found = values(rows, key((way, n)))
        points = [interval(found[c]) for c in present] + [average(found)]
        at = np.arange(len(points)) + (i - len(MAIN) / 2 + 0.5) * 0.16
        means, errors = np.array(points).T
        axes.bar(at, means, 0.15, yerr=errors, label=f"{way}, {n} steps", capsize=2)
    axes.set_xticks(range(len(present) + 1), [*(c.replace("_", "\n") for c in present), "average"])
    axes.set_ylabel("score")
    axes.set_ylim(0, 1)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, frameon=False)
    return _saved(figure, path)


def _curves(rows: list[Row], steps: tuple[int, ...], path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for way, by_steps in change(rows, steps).items():
        at = sorted(by_steps)
        axes.plot(at, [by_steps[n] for n in at], marker="o", label=way)
    axes.axhline(0, color="0.7", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(sorted(steps), [str(n) for n in sorted(steps)])
    axes.minorticks_off()
    axes.set_xlabel("sampling steps")
    axes.set_ylabel(f"change of the average against {max(steps)} steps, %")
    axes.legend(fontsize=8)
    return _saved(figure, path)


def _saved(figure, path: Path) -> Path:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def sheet(
    path: Path, category: str, words: Words, videos: dict[str, np.ndarray], scores: dict
) -> None:
    """The first video of each cell's [N, F, H, W, 3] of one prompt, with its score, as a .jpg."""
    rows = []
    for cell, frames in videos.items():
        shown = spread(_SHOWN, frames.shape[1])
        pictures = [Image.fromarray(frames[0, i]) for i in shown]
        note = f"score {scores[cell][0]:.2f}"
        rows.append(Tiles(cell.replace("/", ", ") + " steps", note, pictures, [], frozenset()))
    texts = [("Prompt", words.original), ("Upsampled", words.upsampled), ("Motion", words.motion)]
    path.parent.mkdir(exist_ok=True)
    page = draw_sheet(Sheet(category, f"{FVG} on the tiny world", texts, rows))
    page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS).save(
        path, quality=80
    )
