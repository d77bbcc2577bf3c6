"""Thumbnails of the templates: each graph as the editor draws it, next to its file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from PIL import Image

from dev.chromium import REMEDY, find_chromium
from dev.host import PACK
from dev.server import ComfyServer
from dev.templates.recipes import named_files
from fvg_core.bench.workflow import load_workflow
from fvg_core.errors import HostError

SIZE = (640, 392)  # of a thumbnail, pixels
# Where the page shows nothing but the canvas, in the shape of a thumbnail.
CANVAS = {"x": 80, "y": 100, "width": 1800, "height": 1102}
VIEW = {"width": 1900, "height": 1220}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Locale": "en",
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasMenu": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # text at any size
}
# Where the host looks for models below its output folder, by the folder of `models`.
BELOW_OUTPUT = {"text_encoders": "clip"}
READY = "window.app?.graph && window.LiteGraph && window.app.extensionManager"
# Shows all groups in a part of the page.
SHOW = """area => {
    const {canvas, graph} = window.app;
    const boxes = [...graph.groups.map(group => group._bounding),
                   ...graph.nodes.map(node => node.getBounding())];
    const low = axis => Math.min(...boxes.map(box => box[axis])) - 30;
    const high = axis => Math.max(...boxes.map(box => box[axis] + box[axis + 2])) + 30;
    const [wide, tall] = [high(0) - low(0), high(1) - low(1)];
    const scale = Math.min(area.width / wide, area.height / tall);
    canvas.ds.scale = scale;
    canvas.ds.offset[0] = (area.x + (area.width - wide * scale) / 2) / scale - low(0);
    canvas.ds.offset[1] = (area.y + (area.height - tall * scale) / 2) / scale - low(1);
    canvas.draw(true, true);
}"""


def draw(server: ComfyServer, names: Sequence[str]) -> None:
    """Write a .jpg beside each of these templates."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise HostError(f"There is no Chromium to draw the thumbnails with. {REMEDY}")
    _pretend_files(server, names)
    settings = server.user / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        page = browser.new_page(viewport=VIEW)
        page.goto(server.url)
        page.wait_for_function(READY)
        page.wait_for_timeout(5000)  # the editor opens a graph of its own when it is ready
        for name in names:
            _shoot(page, name)
        browser.close()


def _pretend_files(server: ComfyServer, names: Sequence[str]) -> None:
    """Empty files with the names of all models, so that no node is drawn red for a missing one."""
    for file in set().union(*(named_files(_workflow(name)) for name in names)):
        place = server.output / BELOW_OUTPUT.get(file.folder, file.folder)
        place.mkdir(exist_ok=True)
        (place / file.name).touch()


def _workflow(name: str) -> dict[str, Any]:
    return load_workflow(PACK / "workflows" / f"{name}.json")


def _shoot(page, name: str) -> None:
    page.evaluate("workflow => window.app.loadGraphData(workflow)", _workflow(name))
    page.wait_for_timeout(3000)  # texts and widgets are drawn when they have been measured
    page.evaluate(SHOW, CANVAS)
    page.wait_for_timeout(1000)
    with Image.open(io.BytesIO(page.screenshot(clip=CANVAS))) as shot:
        small = shot.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        small.save(PACK / "workflows" / f"{name}.jpg", quality=70, optimize=True)
    print(f"workflows/{name}.jpg")
