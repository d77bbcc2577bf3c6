"""The picker in the real editor: candidates appear, a person picks, the rest is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev.host import PACK
from dev.server import ComfyServer
from fvg_core.bench.workflow import load_workflow
from fvg_core.image import read_choices
from tests.browser.picker_desk import SEEDS, WAITING, Desk, place_of_the_picker, waiting
from tests.host.picking import Picking

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

TEMPLATE = PACK / "workflows" / "fvg_tiny.json"


def videos(outputs: dict) -> list[str]:
    files = [file["filename"] for node in outputs.values() for file in node.get("images", ())]
    return [name for name in files if name.endswith(".mp4")]


# --- the template, as a newcomer meets it -------------------------------------------------


@pytest.fixture(scope="module")
def candidates(desk: Desk) -> Desk:
    desk.open(load_workflow(TEMPLATE))
    # Candidates of its own: what is chosen here, the server remembers.
    desk.page.evaluate(
        """() => { const node = window.app.graph.nodes.find(n => /ImageGenerator/.test(n.type));
            node.widgets.find(w => w.name === 'seed').value = 2029; }"""
    )
    assert desk.panels()[0]["status"].startswith("Run the workflow")
    (outputs,) = desk.finished(desk.press_run)
    assert videos(outputs) == []
    return desk


def test_candidates_stand_in_the_node(candidates: Desk) -> None:
    panel = candidates.wait_status(WAITING)
    assert (panel["tiles"], panel["chosen"], panel["choice"]) == (4, [], "")
    candidates.page.wait_for_function(
        "() => [...document.querySelectorAll('.fvg-picker-image')].every(i => i.naturalWidth)"
    )
    # Nobody's keyboard was taken, nothing covers the page.
    assert candidates.page.evaluate("document.activeElement.closest('.fvg-picker')") is None
    assert candidates.page.locator(".fvg-picker-viewer").count() == 0


def test_a_click_after_another_job_makes_the_video(candidates: Desk) -> None:
    candidates.client.run(Picking(policy="first").graph)
    place_of_the_picker(candidates)
    tile = candidates.page.locator(".fvg-picker-pick").nth(2)
    (outputs,) = candidates.finished(tile.click)
    assert len(videos(outputs)) == 1
    panel = candidates.wait_status("Candidate 2 chosen")
    assert panel["chosen"] == [2]
    assert panel["choice"].endswith(": 2")


def test_it_is_not_asked_again(candidates: Desk) -> None:
    candidates.click(2)  # the same once more: nothing to do
    candidates.page.wait_for_timeout(500)
    (outputs,) = candidates.finished(candidates.press_run)
    assert candidates.panels()[0]["chosen"] == [2]
    assert not [o for o in outputs.values() if o.get("fvg_picker", [{}])[0].get("waiting")]


def test_files_deleted_by_hand_come_back(candidates: Desk, comfy: ComfyServer) -> None:
    def drawn() -> set[Path]:
        return set((comfy.output / "fvg" / "anchors").rglob("seed-203?.png"))

    before = drawn()
    assert len(before) == 3
    panel = next((comfy.output / "fvg" / "picker").glob(f"{choice_key(candidates)}*"))
    for file in [*before, *panel.glob("*.jpg")]:
        file.unlink()
    (outputs,) = candidates.finished(candidates.press_run)
    assert drawn() == before
    assert len(list(panel.glob("candidate-*.jpg"))) == 4
    assert candidates.panels()[0]["chosen"] == [2]  # they are the same candidates
    assert len(videos(outputs)) == 1
    candidates.page.wait_for_function(
        "() => [...document.querySelectorAll('.fvg-picker-image')].every(i => i.naturalWidth)"
    )
    # The editor's own job list may have asked for them while they were gone.
    errors = candidates.editor.errors
    errors[:] = [error for error in errors if f"{panel.name}&t=" not in error]


def choice_key(desk: Desk) -> str:
    return next(iter(read_choices(desk.panels()[0]["choice"])))


def test_nothing_outgrows_its_group(candidates: Desk) -> None:
    """Also with the candidates' preview in the generator, and the panels filled."""
    workflow = candidates.editor.workflow()
    boxes = [group["bounding"] for group in workflow["groups"]]
    for node in (n for n in workflow["nodes"] if n["type"] != "MarkdownNote"):
        (x, y), (width, height) = node["pos"], node["size"]
        inside = [
            box[0] <= x
            and box[1] <= y
            and x + width <= box[0] + box[2]
            and y + height <= box[1] + box[3]
            for box in boxes
        ]
        assert any(inside), (node["type"], node["pos"], node["size"])


# --- the rest on small graphs -------------------------------------------------------------


def test_picking_by_keyboard_in_full_size(desk: Desk) -> None:
    scores = {
        "checklist": ["Is it <b>green</b>?"],
        "candidates": [{"score": s, "answers": [s > 0.5]} for s in (1, 0, 0.5)],
    }
    waiting(desk, scores=json.dumps(scores))
    page = desk.page
    page.evaluate("() => document.querySelectorAll('.fvg-picker-enlarge')[0].click()")
    side = page.locator(".fvg-picker-side")
    assert "Candidate 0 · 100%" in side.text_content()
    assert "Is it <b>green</b>?" in side.text_content()
    page.keyboard.press("ArrowRight")
    assert "Candidate 1 · 0%" in side.text_content()
    assert page.locator(".fvg-picker-answer-no").count() == 1
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")  # there is none
    assert "Candidate 2 · 50%" in side.text_content()
    size = "document.querySelector('.fvg-picker-large').getBoundingClientRect().width"
    before = page.evaluate(size)
    page.keyboard.press("+")
    assert page.evaluate(size) == pytest.approx(1.5 * before)
    page.keyboard.press("Escape")
    assert page.locator(".fvg-picker-viewer").count() == 0
    assert desk.panels()[0]["choice"] == ""
    page.evaluate("() => document.querySelectorAll('.fvg-picker-enlarge')[2].click()")
    page.keyboard.press("ArrowLeft")
    (outputs,) = desk.finished(lambda: page.keyboard.press("Enter"))
    assert desk.saved(outputs) == [1]


def test_the_keyboard_works_in_the_grid_too(desk: Desk) -> None:
    waiting(desk)
    place_of_the_picker(desk)
    desk.page.locator(".fvg-picker-pick").first.focus()
    desk.page.keyboard.press("2")
    desk.page.keyboard.press("ArrowLeft")
    (outputs,) = desk.finished(lambda: desk.page.keyboard.press("Enter"))
    assert desk.saved(outputs) == [1]


def test_several_marked_go_on_together(desk: Desk) -> None:
    waiting(desk)
    page = desk.page
    for index in (2, 0):
        page.evaluate("i => document.querySelectorAll('.fvg-picker-mark')[i].click()", index)
    use = "() => document.querySelector('.fvg-picker-use').click()"
    assert page.evaluate("document.querySelector('.fvg-picker-use').textContent") == "Use 2 marked"
    (outputs,) = desk.finished(lambda: page.evaluate(use))
    assert desk.saved(outputs) == [0, 2]
    assert ": 0, 2" in desk.wait_status("Candidates 0, 2 chosen")["choice"]


def test_a_pick_while_another_job_runs(desk: Desk, comfy: ComfyServer) -> None:
    waiting(desk)
    gate = {"class_type": "FVGGate", "inputs": {"name": "gate-picker"}}
    busy = desk.client.submit({"1": gate})
    while not desk.client.get("/queue")["queue_running"]:
        desk.page.wait_for_timeout(50)
    desk.click(1)
    while not (queue := desk.client.get("/queue"))["queue_pending"]:
        desk.page.wait_for_timeout(50)
    assert [item[1] for item in queue["queue_running"]] == [busy]
    assert len(queue["queue_pending"]) == 1
    _, second = desk.finished((comfy.output / "gate-picker").touch, runs=2)
    assert desk.saved(second) == [1]


def test_a_changed_seed_asks_anew_and_back_does_not(desk: Desk) -> None:
    waiting(desk)
    desk.finished(lambda: desk.click(1))
    change = """by => { const seed = window.app.graph.nodes.find(n => n.type === 'ImageAddNoise')
        .widgets.find(w => w.name === 'seed'); seed.value += by; }"""
    desk.page.evaluate(change, 1)
    desk.finished(desk.press_run)
    assert desk.wait_status(WAITING)["chosen"] == []
    desk.page.evaluate(change, -1)
    desk.finished(desk.press_run)
    assert desk.wait_status("Candidate 1 chosen")["chosen"] == [1]


@pytest.mark.parametrize("when", ["after", "before"])
def test_a_seed_drawn_anew_for_each_run_does_not_lose_the_candidates(desk: Desk, when: str) -> None:
    mode = "when => window.app.extensionManager.setting.set('Comfy.WidgetControlMode', when)"
    desk.page.evaluate(mode, when)
    desk.open_graph(Picking().graph)
    desk.page.evaluate(SEEDS, "randomize")
    try:
        for index in (2, 1):
            desk.finished(desk.press_run)
            desk.finished(desk.press_run)  # one of the two has another seed
            desk.wait_status(WAITING)
            (outputs,) = desk.finished(lambda index=index: desk.click(index))
            assert desk.saved(outputs) == [index]
    finally:
        desk.page.evaluate(mode, "after")


def test_a_policy_gives_way_to_a_click(desk: Desk) -> None:
    desk.open_graph(Picking(policy="first").graph)
    (outputs,) = desk.finished(desk.press_run)
    assert desk.saved(outputs) == [0]
    desk.wait_status("Candidate 0 taken (policy: first)")
    (outputs,) = desk.finished(lambda: desk.click(2))
    assert desk.saved(outputs) == [2]


def test_sixty_four_candidates(desk: Desk) -> None:
    graph = Picking()
    many = graph.add("RepeatImageBatch", image=graph.images, amount=22)
    some = graph.add("ImageFromBatch", image=[many, 0], batch_index=0, length=64)
    graph.set(images=[some, 0])
    desk.open_graph(graph.graph)
    desk.finished(desk.press_run)
    assert desk.wait_status(WAITING)["tiles"] == 64
    place_of_the_picker(desk)
    scrolls = "() => { const g = document.querySelector('.fvg-picker-grid');" \
        " return g.scrollHeight > 2 * g.clientHeight; }"  # fmt: skip
    assert desk.page.evaluate(scrolls)
    last = desk.page.locator(".fvg-picker-pick").last
    last.scroll_into_view_if_needed()
    (outputs,) = desk.finished(last.click)
    assert desk.saved(outputs) == [63 % 3]


def test_the_other_renderer(desk: Desk) -> None:
    """Nodes drawn by the page's framework instead of on the canvas. It must not go on showing an
    earlier graph's candidates where another graph has a node of the same id."""
    use = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    desk.page.evaluate(use, True)
    try:
        waiting(desk)
        place_of_the_picker(desk)
        waiting(desk)
        place_of_the_picker(desk)
        tile = desk.page.locator(".fvg-picker-pick").nth(2)
        (outputs,) = desk.finished(tile.click)
        assert desk.saved(outputs) == [2]
        desk.wait_status("Candidate 2 chosen")
    finally:
        desk.page.evaluate(use, False)


def test_nothing_of_ours_failed(desk: Desk) -> None:
    assert not desk.editor.failures("anchor_picker", "picker/", "/view")
