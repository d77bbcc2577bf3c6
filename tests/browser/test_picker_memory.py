"""What the picker's page remembers: reloads, restarts, other tabs, copies, strangers' files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.host import LINK_NAME, Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.image import read_choices
from tests.browser.conftest import Editor
from tests.browser.picker_desk import SEEDS, WAITING, Desk, waiting
from tests.host.picking import Picking

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]


def test_two_pickers_in_one_graph(desk: Desk) -> None:
    graph = Picking()
    inputs = graph.graph[graph.picker]["inputs"]
    other = graph.add("FVGAnchorPicker", **inputs)
    graph.add("SaveImage", images=[other, 0], filename_prefix="second")
    desk.open_graph(graph.graph)
    desk.finished(desk.press_run)
    assert [panel["status"] for panel in desk.panels()] == [WAITING] * 2
    (outputs,) = desk.finished(lambda: desk.click(0, which=0))
    assert desk.saved(outputs) == [0]
    (outputs,) = desk.finished(lambda: desk.click(2, which=1))
    assert sorted(desk.saved(outputs)) == [0, 2]


def test_inside_a_subgraph(desk: Desk) -> None:
    desk.open_graph(Picking().graph)
    desk.page.evaluate(SEEDS, "randomize")  # the subgraph shows the seed outside
    desk.page.evaluate(
        """() => { const graph = window.app.graph;
            const inner = graph.nodes.filter(n => /Picker|AddNoise/.test(n.type));
            graph.convertToSubgraph(new Set(inner)); }"""
    )
    desk.finished(desk.press_run)
    assert [panel["status"] for panel in desk.panels()] == [WAITING]
    click = """i => { const inner = window.app.graph.nodes.find(n => n.subgraph).subgraph.nodes;
        inner.find(n => n.type === 'FVGAnchorPicker').widgets.find(w => w.name === 'candidates')
            .element.querySelectorAll('.fvg-picker-pick')[i].click(); }"""
    (outputs,) = desk.finished(lambda: desk.page.evaluate(click, 2))
    assert desk.saved(outputs) == [2]
    (outputs,) = desk.finished(desk.press_run)
    assert desk.panels()[0]["chosen"] == [2]


def test_after_a_reload_the_candidates_stand_there(desk: Desk) -> None:
    waiting(desk)
    desk.editor.wait_kept()
    desk.editor.reload()
    panel = desk.wait_status(WAITING)
    assert panel["tiles"] == 3
    (outputs,) = desk.finished(lambda: desk.click(1))
    assert desk.saved(outputs) == [1]


def test_another_tab_knows_what_was_picked(
    desk: Desk, comfy: ComfyServer, open_editor: Callable[[ComfyServer], Editor]
) -> None:
    waiting(desk)
    other = Desk(open_editor(comfy), desk.client)
    other.open(desk.editor.workflow())
    assert other.wait_status(WAITING)["tiles"] == 3  # the workflow carries them
    desk.finished(lambda: desk.click(1))
    (outputs,) = other.finished(other.press_run)
    assert other.saved(outputs) == [1]
    panel = other.wait_status("Candidate 1 chosen")
    assert panel["choice"] == desk.panels()[0]["choice"]
    (outputs,) = other.finished(lambda: other.click(2))
    assert other.saved(outputs) == [2]


def test_a_workflow_from_a_stranger_is_not_believed(desk: Desk) -> None:
    waiting(desk)
    workflow = desk.editor.workflow()
    picker = next(n for n in workflow["nodes"] if n["type"] == "FVGAnchorPicker")
    for strange in ("x", 7, {"key": "<img src=x onerror=alert(1)>"}, {"key": "a" * 16, "full": 3}):
        picker["properties"]["fvg_picker"] = strange
        desk.open(workflow)
        panel = desk.panels()[0]
        assert panel["tiles"] == 0


def test_the_page_writes_choices_as_the_node_reads_them(desk: Desk) -> None:
    write = """async ([place, choices]) => {
        const {withChoice} = await import(place);
        return choices.reduce((text, [key, picked]) => withChoice(text, key, picked), 'junk');
    }"""
    choices = [(f"{i:016x}", (i, 0)) for i in range(1, 25)]
    place = f"/extensions/{LINK_NAME}/picker/state.js"
    read = read_choices(desk.page.evaluate(write, [place, [*choices, choices[-2]]]))
    # The latest first, each key once, and not without end.
    assert list(read.items()) == [choices[-2], choices[-1], *choices[-3:3:-1]]


def test_a_restart_between_candidates_and_pick(
    install: Install, tmp_path: Path, open_editor: Callable[[ComfyServer], Editor]
) -> None:
    def server(port: int | None = None) -> ComfyServer:
        env = {"OMP_NUM_THREADS": "1"}
        # A cache that keeps runs that were stopped, too.
        cache = ("--cache-lru", "99")
        return ComfyServer(install, tmp_path, only_pack=True, env=env, port=port, extra_args=cache)

    with server() as first, ComfyClient(first.url) as client:
        desk = Desk(open_editor(first), client)
        waiting(desk)
        desk.editor.wait_kept()
        desk.editor.leave()
    with server(first.port) as second, ComfyClient(second.url) as client:
        desk.client = client
        desk.editor.come_back()
        assert desk.wait_status(WAITING)["tiles"] == 3
        desk.page.wait_for_function(
            "() => [...document.querySelectorAll('.fvg-picker-image')].every(i => i.naturalWidth)"
        )
        desk.finished(desk.press_run)
        (outputs,) = desk.finished(lambda: desk.click(1))
        assert desk.saved(outputs) == [1]
        # As in a page where nothing was picked: the run that stopped is in the host's cache.
        desk.page.evaluate(
            """() => { window.app.graph.nodes.find(n => n.type === 'FVGAnchorPicker')
                .widgets.find(w => w.name === 'choice').value = ''; }"""
        )
        desk.finished(desk.press_run)
        panel = desk.wait_status("Candidate 1 chosen")
        assert panel["choice"].endswith(": 1")


def test_nothing_of_ours_failed(desk: Desk) -> None:
    assert not desk.editor.failures("anchor_picker", "picker/", "/view")
