"""What the tests of the picker's page share: a page with the editor, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fvg_core.bench.client import ComfyClient
from fvg_core.bench.results import OutputFile
from tests.browser.conftest import Editor
from tests.host.picking import Picking, color_of

# The panels of all pickers of the graph, in the order of their nodes.
SHOWN = """() => {
    const found = [];
    const walk = graph => graph.nodes.forEach(node => {
        const panel = node.widgets?.find(w => w.name === 'candidates')?.element;
        if (panel) found.push({
            status: panel.querySelector('.fvg-picker-status').textContent,
            tiles: panel.querySelectorAll('.fvg-picker-tile').length,
            chosen: [...panel.querySelectorAll('.fvg-picker-tile')].flatMap(
                (tile, i) => tile.classList.contains('fvg-picker-chosen') ? [i] : []),
            choice: node.widgets.find(w => w.name === 'choice').value,
        });
        if (node.subgraph) walk(node.subgraph);
    });
    walk(window.app.graph);
    return found;
}"""
CLICK = """([which, index]) => [...document.querySelectorAll('.fvg-picker')][which]
    .querySelectorAll('.fvg-picker-pick')[index].click()"""
SEEDS = """after => window.app.graph.nodes.forEach(node => node.widgets?.forEach(widget => {
    if (widget.name === 'control_after_generate') widget.value = after; }))"""
WAITING = "Click the picture that becomes the first frame."


@dataclass
class Desk:
    """A page with the editor, and the server's own account of what it queued."""

    editor: Editor
    client: ComfyClient

    @property
    def page(self) -> Any:
        return self.editor.page

    def open(self, workflow: dict) -> None:
        self.editor.load(workflow)
        self.page.wait_for_function(f"() => ({SHOWN})().length > 0")

    def open_graph(self, graph: dict) -> None:
        """A graph in API format, laid out by the editor."""
        names = {name: str(i + 1) for i, name in enumerate(graph)}
        text = json.dumps({names[name]: node for name, node in graph.items()})
        for name, number in names.items():
            text = text.replace(f"[{json.dumps(name)}, ", f'["{number}", ')
        self.page.evaluate("graph => window.app.loadApiJson(graph, 'test')", json.loads(text))
        self.page.wait_for_function(f"() => ({SHOWN})().length > 0")
        self.page.evaluate(SEEDS, "fixed")

    def press_run(self) -> None:
        self.page.get_by_test_id("queue-button").click()

    def finished(self, action: Callable[[], None], runs: int = 1) -> list[dict]:
        """What the runs that `action` queues leave, in order, the last one from this page; no
        other run may appear."""
        before = set(self.client.get("/history"))
        action()
        for _ in range(600):
            history = self.client.get("/history")
            new = {number: entry for number, entry in history.items() if number not in before}
            if len(new) >= runs:
                break
            self.page.wait_for_timeout(100)
        self.page.wait_for_timeout(300)
        queue = self.client.get("/queue")
        assert len(new) == runs
        assert not queue["queue_pending"]
        assert [entry["status"]["status_str"] for entry in new.values()] == ["success"] * runs
        self.editor.wait_told([*new][-1])
        return [entry["outputs"] for entry in new.values()]

    def panels(self) -> list[dict]:
        return self.page.evaluate(SHOWN)

    def wait_status(self, start: str) -> dict:
        """The one panel, once its status begins with `start`."""
        self.page.wait_for_function(
            f"start => ({SHOWN})().some(p => p.status.startsWith(start))", arg=start
        )
        return self.panels()[0]

    def click(self, index: int, which: int = 0) -> None:
        self.page.evaluate(CLICK, [which, index])

    def saved(self, outputs: dict) -> list[int]:
        """The colours that the graph's SaveImage was given."""
        files = [
            OutputFile("", **file)
            for node in outputs.values()
            for file in node.get("images", ())
            if "fvg_picker" not in node
        ]
        return [color_of(self.client.fetch(file)) for file in files]


def waiting(desk: Desk, **texts: str) -> Picking:
    """A fresh graph whose candidates wait for a pick; `texts` come from nodes before it."""
    graph = Picking()
    for name, text in texts.items():
        graph.set(**{name: [graph.add("PrimitiveStringMultiline", value=text), 0]})
    desk.open_graph(graph.graph)
    desk.finished(desk.press_run)
    desk.wait_status(WAITING)
    return graph


def place_of_the_picker(desk: Desk) -> None:
    """Bring the picker into view: elements of nodes outside are hidden."""
    desk.page.evaluate(
        """() => {
            const {graph, canvas} = window.app;
            const [x, y] = graph.nodes.find(n => n.type === 'FVGAnchorPicker').pos;
            canvas.ds.scale = 1;
            canvas.ds.offset = [300 - x, 200 - y];
            canvas.setDirty(true, true);
        }"""
    )
    desk.page.locator(".fvg-picker").first.wait_for(state="visible")
