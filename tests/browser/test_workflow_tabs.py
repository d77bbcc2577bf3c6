"""Several workflows open in one page: what a run says goes to the one that was run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator

from dev.server import ComfyServer
from tests.browser.picker_desk import WAITING, Desk
from tests.host.picking import Picking

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

PROMPT = "Two red balls roll past a wooden chair."
# What of a run the nodes of the open workflow hold.
HELD = """() => window.app.graph.nodes.map(n => n.properties?.fvg_picker
    ?? n.properties?.fvg_rewrites).filter(Boolean).length"""
ID = "() => window.app.rootGraph.id"
# A workflow is open, and the editor has taken down how it is.
LOADED = f"""id => {{
    const {{activeState}} = window.app.extensionManager.workflow.activeWorkflow;
    const held = activeState?.nodes.filter(n => n.properties?.fvg_picker
        ?? n.properties?.fvg_rewrites).length;
    return ({ID})() === id && activeState?.id === id && held === ({HELD})(); }}"""


def graph_of_both() -> Picking:
    """A picker, and a rewriter before it."""
    graph = Picking()
    rewriter = graph.add("FVGFirstFramePromptRewriter", prompt=PROMPT, backend="rules", seed=0)
    return graph.set(report=[rewriter, 2])


@dataclass(frozen=True)
class Tab:
    index: int
    workflow: str  # its id


def tabs(desk: Desk) -> Locator:
    return desk.page.locator(".workflow-tabs .p-togglebutton")


def open_as_workflow(desk: Desk, graph: Picking) -> Tab:
    """In the last tab."""
    desk.open_graph(graph.graph)
    desk.open(desk.editor.workflow())  # a graph in API format has no id of its own
    return Tab(tabs(desk).count() - 1, desk.page.evaluate(ID))


def go_to(desk: Desk, tab: Tab) -> None:
    tabs(desk).nth(tab.index).click()
    desk.page.wait_for_function(LOADED, arg=tab.workflow)


def test_a_workflow_gets_its_candidates_when_it_is_opened_again(
    desk: Desk, comfy: ComfyServer
) -> None:
    first, second = graph_of_both(), graph_of_both()
    desk.client.submit({"1": {"class_type": "FVGGate", "inputs": {"name": "gate-tabs"}}})
    while not desk.client.get("/queue")["queue_running"]:
        desk.page.wait_for_timeout(50)
    ours = open_as_workflow(desk, first)
    desk.press_run()
    while not desk.client.get("/queue")["queue_pending"]:
        desk.page.wait_for_timeout(50)
    other = open_as_workflow(desk, second)  # with nodes of the same ids
    assert other.workflow != ours.workflow
    desk.finished((comfy.output / "gate-tabs").touch, runs=2)
    assert desk.panels()[0]["status"].startswith("Run the workflow")
    assert desk.page.evaluate(HELD) == 0
    go_to(desk, ours)
    assert desk.wait_status(WAITING)["tiles"] == 3
    assert desk.page.evaluate(HELD) == 2
    go_to(desk, other)
    assert desk.page.evaluate(HELD) == 0
    go_to(desk, ours)
    assert desk.page.evaluate(HELD) == 2  # they are the workflow's own now
    (outputs,) = desk.finished(lambda: desk.click(1))
    assert desk.saved(outputs) == [1]
    assert desk.panels()[0]["choice"].endswith(": 1")


def test_the_same_graph_in_another_workflow_is_told_too(desk: Desk) -> None:
    """Though the host has everything in its cache and runs no node."""
    graph = graph_of_both()
    for _ in range(2):
        open_as_workflow(desk, graph)
        assert desk.page.evaluate(HELD) == 0
        desk.finished(desk.press_run)
        assert desk.panels()[0]["status"] == WAITING
        assert desk.page.evaluate(HELD) == 2


def test_nothing_of_ours_failed(desk: Desk) -> None:
    assert not desk.editor.failures("runs.js", "anchor_picker", "prompt_rewriter", "/view", "/jobs")
