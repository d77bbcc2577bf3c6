"""Several workflows open in one page: what a run says goes to the one that was run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from tests.browser.conftest import Editor
from tests.browser.picker_desk import WAITING, Desk
from tests.host.picking import Picking

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

PROMPT = "Two red balls roll past a wooden chair."
# What of a run the nodes of the open workflow hold.
HELD = """() => window.app.graph.nodes.map(n => n.properties?.fvg_picker
    ?? n.properties?.fvg_rewrites).filter(Boolean).length"""
ID = "() => window.app.rootGraph.id"


@pytest.fixture(scope="module")
def desk(comfy: ComfyServer, editor: Editor) -> Iterator[Desk]:
    with ComfyClient(comfy.url) as client:
        yield Desk(editor, client)


def graph_of_both() -> Picking:
    """A picker, and a rewriter before it."""
    graph = Picking()
    rewriter = graph.add("FVGFirstFramePromptRewriter", prompt=PROMPT, backend="rules", seed=0)
    return graph.set(report=[rewriter, 2])


def open_as_workflow(desk: Desk, graph: Picking) -> str:
    """In a tab of its own; the workflow's id."""
    desk.open_graph(graph.graph)
    desk.open(desk.editor.workflow())  # a graph in API format has no id of its own
    return desk.page.evaluate(ID)


def go_to(desk: Desk, workflow: str) -> None:
    """Click through the tabs until a workflow is open."""
    tabs = desk.page.locator(".workflow-tabs .p-togglebutton")
    for i in range(tabs.count()):
        tabs.nth(i).click()
        desk.page.wait_for_timeout(500)
        if desk.page.evaluate(ID) == workflow:
            return
    raise AssertionError(f"none of {tabs.count()} tabs has the workflow")


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
    assert other != ours
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
    ours = ("fvg", "runs.js", "anchor_picker", "prompt_rewriter", "uncaught", "/view", "/jobs")
    assert not [e for e in desk.editor.errors if any(word in e for word in ours)]
