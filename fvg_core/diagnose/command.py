"""`python -m fvg_core diagnose "prompt"`: make, judge and show the three videos."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageSequence

from ..bench.client import ComfyClient
from ..bench.graph import Json, set_widgets
from ..bench.sheet import Row, Sheet, draw_sheet, fit
from ..bench.video import spread
from ..bench.workflow import load_workflow, to_prompt
from ..files import slug
from ..tiny.clips import write_mp4
from .branches import TITLES, three_ways
from .scene import judged_prompt
from .verdict import judge, verdict

TEMPLATE = Path(__file__).resolve().parents[2] / "workflows" / "fvg_diagnose.json"
_SHOWN, _TILE, _GAP = 8, 256, 16  # frames of the sheet; pixels of the video


def diagnose(prompt: str, seed: int, server: str, out: Path | None) -> tuple[str, Path]:
    """Run the three ways on a running ComfyUI. Returns what to tell, and the folder with
    `side_by_side.mp4` (in the order of TITLES), `sheet.png` and `diagnosis.json`."""
    asked = judged_prompt(prompt)
    with ComfyClient(server) as client:
        info = client.object_info()
        workflow = set_widgets(
            load_workflow(TEMPLATE), info, "FVGFirstFramePromptRewriter", prompt=prompt
        )
        workflow = set_widgets(workflow, info, "PrimitiveInt", value=seed)
        graph, saves = three_ways(to_prompt(workflow, info))
        result = client.run(graph)
        files = {way: client.fetch(result.files(node)[0]) for way, node in saves.items()}
    frames = {way: read_pages(data) for way, data in files.items()}
    judged = {way: judge(video, asked) for way, video in frames.items()}
    kind, words = verdict(judged)
    said = {way: judged[way].words for way in TITLES}
    record = {
        "prompt": prompt,
        "seed": seed,
        "verdict": kind,
        "words": words,
        "found": said,
        "api_prompt": graph,
    }
    folder = out or Path("out") / f"diagnose-{slug(prompt)}-{seed}"
    _keep(folder, frames, record)
    lines = [f"{TITLES[way]}: {text}" for way, text in said.items()]
    return "\n".join([*lines, "", words, "One seed is one case: try others."]), folder


def read_pages(data: bytes) -> np.ndarray:
    """The frames [F, H, W, 3] of an animated picture."""
    pages = ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    return np.stack([np.array(page.convert("RGB")) for page in pages])


def _keep(folder: Path, frames: dict[str, np.ndarray], record: Json) -> None:
    """Write the results; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as name:
        making = Path(name)
        write_mp4(_side_by_side([frames[way] for way in TITLES]), making / "side_by_side.mp4")
        _sheet(frames, record).save(making / "sheet.png")
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (making / "diagnosis.json").write_text(text, encoding="utf-8")
        for path in list(making.iterdir()):
            path.replace(folder / path.name)


def _side_by_side(videos: list[np.ndarray]) -> torch.Tensor:
    """uint8 [F, H, W, 3]"""
    pages = []
    for tiles in zip(*videos, strict=True):
        page = Image.new("RGB", (len(tiles) * (_TILE + _GAP) - _GAP, _TILE), "white")
        for i, tile in enumerate(tiles):
            page.paste(fit(Image.fromarray(tile), _TILE), (i * (_TILE + _GAP), 0))
        pages.append(np.array(page))
    return torch.from_numpy(np.stack(pages))


def _sheet(frames: dict[str, np.ndarray], record: dict[str, Any]) -> Image.Image:
    rows = []
    for way, title in TITLES.items():
        shown = spread(_SHOWN, len(frames[way]))
        pictures = [Image.fromarray(frames[way][i]) for i in shown]
        rows.append(Row(title, record["found"][way], pictures, [f"frame {i}" for i in shown]))
    texts = [("Prompt", record["prompt"]), ("Verdict", record["words"])]
    return draw_sheet(Sheet("Frame or motion?", f"seed {record['seed']}", texts, rows))
