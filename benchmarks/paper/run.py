"""Videos of one prompt through a running ComfyUI, scored; and rows of many on several servers."""

from __future__ import annotations

import contextlib
import json
import random
import re
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.kept import known_rows, made_with, require_head
from benchmarks.paper import cost, pictures, spread
from benchmarks.paper.graphs import Graph, ways_graph
from benchmarks.paper.tables import Row
from benchmarks.paper.ways import (
    ALL_STEPS,
    FEW,
    IMAGE_SAMPLING,
    SAMPLING,
    Words,
    cells,
    key,
    table1,
)
from fvg_core.bench.client import ComfyClient
from fvg_core.categories import CATEGORIES
from fvg_core.diagnose.command import read_pages
from fvg_core.errors import HostError
from fvg_core.files import write_whole
from fvg_core.prompts import rewrite
from fvg_core.tiny.captions import NOUNS, NUMBERS, motion_text, prompt_spans, text
from fvg_core.tiny.render import FRAMES, SIZE, render
from fvg_core.tiny.scenes import Scene, sample_scene
from fvg_core.tiny.scorer import composition, score
from fvg_core.tiny.words import Prompt

# What lays out the page; everything else in this folder makes rows.
PAGE = ("__main__.py", "goals.py", "pictures.py", "tables.py")
HERE = Path(__file__).parent
SPACE = 1000  # seeds of an item


@dataclass(frozen=True)
class Plan:
    """How much is made. prompts: of each category, with `seeds` videos of each way; spread: of
    each category for Tables 4 and 5, with `repeats` videos of each set; clocked: pairs of runs."""

    prompts: int
    seeds: int
    steps: tuple[int, ...]
    spread: int
    repeats: int
    clocked: int


# On one CPU core a prompt takes 120 s of the full plan and 34 s of the quick one, and of Tables 4
# and 5 about 60 and 29 s: on two cores 2.4 hours and 12 minutes.
FULL = Plan(prompts=16, seeds=3, steps=ALL_STEPS, spread=8, repeats=5, clocked=8)
QUICK = Plan(prompts=5, seeds=1, steps=(50, 15), spread=1, repeats=3, clocked=3)


@dataclass(frozen=True)
class Item:
    """A held-out scene; `index` counts within the category."""

    category: str
    index: int
    scene: Scene

    @property
    def seed(self) -> int:
        """The first of SPACE seeds of its own: those of candidates count up."""
        return SPACE * (self.index * len(CATEGORIES) + CATEGORIES.index(self.category))

    @property
    def words(self) -> Words:
        """The original in the wording that chance gives."""
        prompt = self.scene.prompt
        rng = random.Random(f"words {self.category} {self.index}")
        plain = text(prompt_spans(prompt))
        return Words(text(prompt_spans(prompt, rng)), plain, motion_text(prompt))


def items(count: int) -> list[Item]:
    """Held-out scenes, category by category in turn; no setting was chosen on them."""
    return [
        Item(c, i, sample_scene(random.Random(f"tables {c} {i}"), c, held_out=True))
        for i in range(count)
        for c in CATEGORIES
    ]


def upload_frame(client: ComfyClient, item: Item) -> str:
    """The drawn first frame in the server's input folder; its name."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / f"paper_{item.seed}.png"
        Image.fromarray(render([item.scene], [0])[0, 0].numpy()).save(picture)
        return client.upload_image(picture)


def make(client: ComfyClient, graph: Graph) -> dict[str, np.ndarray]:
    """Run a graph. Returns by save the videos, uint8 [N, F, H, W, 3]."""
    result = client.run(graph.nodes)
    files = lambda node: [client.fetch(file) for file in result.files(node)]
    moving = {name: read_videos(files(node)[0]) for name, node in graph.saves.items()}
    return moving | {name: held_still(files(node)) for name, node in graph.stills.items()}


def read_videos(data: bytes) -> np.ndarray:
    """The videos [N, F, H, W, 3] in an animated picture that holds one after the other."""
    return read_pages(data).reshape(-1, FRAMES, SIZE, SIZE, 3)


def held_still(pictures: Sequence[bytes]) -> np.ndarray:
    """Videos [N, F, H, W, 3] of which every frame is the picture."""
    return np.stack([read_pages(picture).repeat(FRAMES, axis=0) for picture in pictures])


def scored(videos: dict[str, np.ndarray], scene: Scene) -> dict[str, list[float]]:
    """The score of every video."""
    return {name: [score(v, scene.prompt) for v in of] for name, of in videos.items()}


def judge_ways(client: ComfyClient, item: Item, plan: Plan, folder: Path) -> Row:
    """All ways on one prompt; a sheet of each category's first."""
    file = upload_frame(client, item)
    graph = ways_graph(item.words, file, item.seed, plan.seeds, cells(plan.steps))
    videos = make(client, graph)
    scores = scored(videos, item.scene)
    if item.index == 0:
        path = folder / "sheets" / f"{item.category}.jpg"
        names = [key(c) for c in cells((max(plan.steps), FEW)) if key(c) in videos]
        pictures.sheet(path, item.category, item.words, {n: videos[n] for n in names}, scores)
    first_frame = rewrite(item.words.original).first_frame_prompt  # as the node does
    return {
        "prompt": item.words.original,
        "first_frame": first_frame,
        "names_all": names_all(first_frame, item.scene.prompt),
        "scores": scores,
        "scene": {
            name: [composition(v, item.scene.prompt) for v in videos[name]]
            for name in map(key, table1(plan.steps))
        },
    }


def judge_spread(client: ComfyClient, item: Item, plan: Plan, folder: Path) -> Row:
    """The sets of Tables 4 and 5 on one prompt."""
    file = upload_frame(client, item)
    seed = spread.FROM + item.seed
    graph = spread.spread_graph(item.words, item.scene, file, seed, plan.repeats)
    videos = spread.gather(make(client, graph))
    return {"prompt": item.words.original, **spread.row_of(videos, scored(videos, item.scene))}


def names_all(first_frame: str, prompt: Prompt) -> bool:
    """Whether a first frame's prompt has every kind of object, with its colour and number."""
    for actor in prompt.actors:
        nouns = "|".join(NOUNS[actor.shape])
        number = "an?|one" if actor.count == 1 else NUMBERS[actor.count]
        kind = rf"((small|large) )?{actor.color} ({nouns})"
        if not re.search(rf"\b({number}) {kind}", first_frame, re.IGNORECASE):
            return False
    return True


def head_of(plan: Plan, machine: dict[str, Any]) -> dict[str, Any]:
    """What everything that is put into one page must have in common, as JSON gives it back. Not
    the numbers of prompts: more can be asked for later, and rows of others are left out."""
    counts = {"prompts", "spread"}
    own = [f"benchmarks/paper/{p.name}" for p in HERE.glob("*.py") if p.name not in PAGE]
    head = {
        "plan": {name: value for name, value in asdict(plan).items() if name not in counts},
        **made_with(machine, own),
        "sampling": SAMPLING,
        "image_sampling": IMAGE_SAMPLING,
    }
    return json.loads(json.dumps(head))


def known_cost(client: ComfyClient, path: Path, plan: Plan, head: dict[str, Any]) -> dict[str, Any]:
    """What `measure_cost` found, kept in a file. Raises BatchError for one of another head."""
    if not path.exists():
        found = {"head": head, **measure_cost(client, plan)}
        write_whole(path, json.dumps(found, indent=1).encode())
    found = json.loads(path.read_text(encoding="utf-8"))
    require_head(path, found.get("head", {}), head)
    return found


def measure_cost(client: ComfyClient, plan: Plan) -> dict[str, Any]:
    """Operations, and seconds of pairs of runs."""
    shown = items(-(-(plan.clocked + 1) // len(CATEGORIES)))[: plan.clocked + 1]
    words, files = [i.words for i in shown], [upload_frame(client, i) for i in shown]
    return {
        "flops of one call": cost.count(client, words[0], files[0]),
        "seconds": cost.clock(client, words, files),
    }


Judge = Callable[[ComfyClient, Item, Plan, Path], Row]


def collect(
    clients: Sequence[ComfyClient],
    judge: Judge,
    path: Path,
    todo: Sequence[Item],
    plan: Plan,
    head: dict[str, Any],
) -> list[Row]:
    """A row of every item, in their order: those of the file, and the missing ones, which are
    added as they come. Each client has one item at a time."""
    rows = {(row["category"], row["index"]): row for row in known_rows(path, head)}
    lock = Lock()
    free: SimpleQueue[ComfyClient] = SimpleQueue()
    for client in clients:
        free.put(client)

    def add_row(item: Item) -> None:
        client = free.get()
        try:
            made = judge(client, item, plan, path.parent)
        finally:
            free.put(client)
        row = {"category": item.category, "index": item.index, **made}
        with lock, path.open("a", encoding="utf-8") as out:
            rows[item.category, item.index] = row
            out.write(json.dumps(row) + "\n")
            print(f"{path.stem} {len(rows)}/{len(todo)}: {row['prompt']}", flush=True)

    pool = ThreadPoolExecutor(len(clients))
    missing = [item for item in todo if (item.category, item.index) not in rows]
    try:
        for added in as_completed([pool.submit(add_row, item) for item in missing]):
            added.result()
    except BaseException:  # one that failed, or Ctrl-C: the others need not be waited for
        pool.shutdown(wait=False, cancel_futures=True)
        for client in clients:
            with contextlib.suppress(HostError):
                client.interrupt()
        raise
    finally:
        pool.shutdown()
    return [rows[item.category, item.index] for item in todo]
