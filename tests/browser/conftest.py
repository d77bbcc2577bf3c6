"""A real Chromium on a real ComfyUI."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dev.chromium import REMEDY, find_chromium
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = "window.app?.graph && window.LiteGraph && window.app.extensionManager"
# Set before the editor starts, so that no dialog covers the canvas.
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Locale": "en"}

# Runs of this page whose end it was told, and so everything before their end. Our nodes ask the
# server first which workflow a run is of: the same question, asked after theirs, is a moment later.
LISTEN = """() => {
    if (window.endedRuns) return;
    window.endedRuns = new Set();
    const {api} = window.comfyAPI.api;
    api.addEventListener('execution_success', async ({detail: {prompt_id: run}}) => {
        await (await api.fetchApi(`/jobs/${run}`)).json();
        setTimeout(() => window.endedRuns.add(run), 50);
    });
}"""
# The nodes are those of a draft that a reload would put back.
KEPT = """() => {
    const nodes = JSON.stringify(window.app.graph.serialize().nodes);
    return Object.keys(localStorage).some(key => key.startsWith('Comfy.Workflow.Draft.')
        && JSON.stringify(JSON.parse(JSON.parse(localStorage[key]).data).nodes) === nodes);
}"""


@dataclass
class Editor:
    """The editor in a page, and what its console complained of."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)

    def wait_kept(self) -> None:
        """Until the editor's draft, written half a second after a change, holds every node."""
        self.page.wait_for_function(KEPT)

    def reload(self) -> None:
        """Reload the page. It is ready once it has put its own last draft back."""
        self.page.reload()
        self._wait_draft()

    def leave(self) -> None:
        """Go elsewhere in the same tab. A page that stays while its server restarts connects again
        under its old name; where it is reloaded then, the host may take the wrong one for gone."""
        self.page.goto("about:blank")

    def come_back(self) -> None:
        self.page.goto(self.url)
        self._wait_draft()

    def _wait_draft(self) -> None:
        self.wait_ready()
        self.page.wait_for_function("() => window.app.graph.nodes.length > 0")

    def wait_ready(self) -> None:
        self.page.wait_for_function(READY)
        self.page.wait_for_function("!document.querySelector('#vue-app .p-progressspinner')")
        self.page.evaluate(LISTEN)

    def wait_told(self, run: str) -> None:
        """Until the page, which queued this run, has been told all of it."""
        self.page.wait_for_function("run => window.endedRuns.has(run)", arg=run)

    def load(self, workflow: dict) -> None:
        """Open a workflow as if it had been chosen from a menu."""
        self.page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)

    def prompt(self) -> dict:
        """What the browser would queue now."""
        script = "async () => JSON.parse(JSON.stringify((await window.app.graphToPrompt()).output))"
        return self.page.evaluate(script)

    def workflow(self) -> dict:
        """What the browser would save now."""
        return self.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")

    def failures(self, *places: str) -> list[str]:
        """Errors of the pack: those that name it, or a place of its own, or that nobody caught."""
        ours = ("fvg", "uncaught", *places)
        return [error for error in self.errors if any(word in error for word in ours)]

    def missing_nodes(self) -> list[str]:
        """Nodes drawn red: types that the host does not know, or that reported an error."""
        return self.page.evaluate(
            "() => window.app.graph.nodes.filter(n => n.has_errors ||"
            " !window.LiteGraph.registered_node_types[n.type] &&"
            " !n.isSubgraphNode?.()).map(n => n.type)"
        )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = find_chromium()
    if path is None:
        message = f"No Chromium to test with. {REMEDY}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_editor(chromium: Any) -> Iterator[Callable[[ComfyServer], Editor]]:
    """Opens the editor of a server in a fresh browser profile, closed after the module: an open
    editor goes on drawing its canvas."""
    contexts = []

    def opener(server: ComfyServer) -> Editor:
        settings = server.user / "default" / "comfy.settings.json"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(SETTINGS))
        context = chromium.new_context(viewport={"width": 1800, "height": 1100})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        editor = Editor(page, server.url)
        page.on("console", lambda m: m.type == "error" and editor.errors.append(_told(m, server)))
        page.on("pageerror", lambda error: editor.errors.append(f"uncaught: {error}"))
        page.goto(server.url)
        editor.wait_ready()
        return editor

    yield opener
    for context in contexts:
        context.close()


def _told(message: Any, server: ComfyServer) -> str:
    """A console error without what differs from run to run: port and cache-busters."""
    where = (message.location or {}).get("url", "").replace(server.url, "").split("&rand=")[0]
    return f"{message.text} {where}"


@pytest.fixture(scope="module")
def editor(comfy: ComfyServer, open_editor: Callable[[ComfyServer], Editor]) -> Editor:
    return open_editor(comfy)


@pytest.fixture(scope="module")
def desk(comfy: ComfyServer, editor: Editor) -> Iterator[Any]:
    from tests.browser.picker_desk import Desk  # which needs the Editor of this file

    with ComfyClient(comfy.url) as client:
        yield Desk(editor, client)


def inside(node: dict, box: list[float]) -> bool:
    """Whether a node of a workflow begins within x, y, width, height."""
    x, y = node["pos"]
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]
