"""The trainer's node in the real editor: it shows the run, also after a reload."""

from __future__ import annotations

import json

import pytest

from dev.host import PACK
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.tiny.clips import write_clips
from tests.browser.conftest import Editor, inside

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

TEMPLATE = PACK / "workflows" / "fvg_train_anchor_lora.json"
TRAINER = "10"
STEPS = 24
NAME = "browser"
SMALL = {
    "steps": STEPS, "batch": 2, "micro_batch": 2, "validate_every": 12,
    "validation_clips": 1, "validation_steps": 2,
}  # fmt: skip
SET = """([id, values]) => {
    for (const widget of window.app.graph.getNodeById(id).widgets)
        if (widget.name in values) widget.value = values[widget.name];
}"""
STATUS = "() => document.querySelector('.fvg-training-status')?.textContent"
# How many pixels of the curve have each line's colour, roughly.
DRAWN = """() => {
    const canvas = document.querySelector('.fvg-training-curve');
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const near = (i, [r, g, b]) => data[i + 3] > 200 && Math.abs(data[i] - r) < 30
        && Math.abs(data[i + 1] - g) < 30 && Math.abs(data[i + 2] - b) < 30;
    const colors = {smooth: [91, 143, 240], anchored: [60, 179, 113], unanchored: [224, 129, 60]};
    const count = color => { let n = 0;
        for (let i = 0; i < data.length; i += 4) n += near(i, color); return n; };
    return Object.fromEntries(Object.entries(colors).map(([k, c]) => [k, count(c)]));
}"""
EMPTY_CURVE = {"steps": [], "loss": [], "smooth": [], "held_out": []}
SAMPLES = """() => [...document.querySelectorAll('.fvg-training-sample')]
    .map(i => [i.complete && i.naturalWidth, new URL(i.src).searchParams.get('subfolder')])"""


def template() -> dict:
    """The template with a run of its own: the node shows what there is of its name."""
    text = json.dumps(load_workflow(TEMPLATE))
    return json.loads(text.replace('"fvg_tiny_trained"', f'"{NAME}"'))


@pytest.fixture(scope="module")
def opened(comfy: ComfyServer, editor: Editor) -> Editor:
    write_clips(comfy.input / "fvg_clips", 4)
    editor.load(template())
    editor.page.wait_for_function("() => window.app.graph.nodes.length > 15")
    return editor


def test_opens_without_red_nodes(opened: Editor) -> None:
    assert opened.missing_nodes() == []
    assert opened.page.evaluate(STATUS) == "Not trained yet."


def test_our_prompt_is_the_browsers(opened: Editor, client: ComfyClient) -> None:
    browser = opened.prompt()
    assert to_prompt(template(), client.object_info()) == browser
    assert browser[TRAINER]["inputs"]["lora_name"] == NAME
    assert "training" not in browser[TRAINER]["inputs"]


def test_notes_explain_every_group_and_nothing_overlaps() -> None:
    workflow = load_workflow(TEMPLATE)
    notes = [n for n in workflow["nodes"] if n["type"] == "MarkdownNote"]
    assert len(notes) > len(workflow["groups"])
    for i, one in enumerate(workflow["nodes"]):
        boxes = [group["bounding"] for group in workflow["groups"]]
        assert one in notes or any(inside(one, box) for box in boxes)
        for other in workflow["nodes"][i + 1 :]:
            assert any(
                a["pos"][axis] + a["size"][axis] <= b["pos"][axis]
                for axis in (0, 1)
                for a, b in ((one, other), (other, one))
            ), f"{one['type']} lies on {other['type']}"


@pytest.fixture(scope="module")
def trained(opened: Editor, comfy: ComfyServer) -> tuple[Editor, list[str]]:
    """The run button pressed; what the node said on the way."""
    page, said = opened.page, []
    page.evaluate(SET, [int(TRAINER), SMALL])
    with ComfyClient(comfy.url) as client:
        before = client.get("/history").keys()
        page.get_by_test_id("queue-button").click()
        for _ in range(600):
            said.append(page.evaluate(STATUS))
            if client.get("/history").keys() - before:
                break
            page.wait_for_timeout(200)
    page.wait_for_function(f"() => ({STATUS})().startsWith('step {STEPS} of {STEPS}')")
    return opened, said


def test_shows_the_run_while_it_lasts(trained) -> None:
    running = [s for s in dict.fromkeys(trained[1]) if "left" in s]
    assert running
    assert all(f" of {STEPS} · loss " in s and "/s" in s for s in running)


def check_shown(editor: Editor) -> None:
    editor.page.wait_for_function(f"() => ({SAMPLES})().every(([width]) => width === 64)")
    assert editor.page.evaluate(SAMPLES) == [
        [64, f"fvg/training/{NAME}/validation/step-{STEPS:08d}"]
    ]
    drawn = editor.page.evaluate(DRAWN)
    assert all(pixels > 10 for pixels in drawn.values()), drawn
    assert "loss" in editor.page.evaluate(STATUS)


def test_shows_curve_and_video_when_it_is_done(trained) -> None:
    check_shown(trained[0])


def test_shows_them_again_after_a_reload(trained) -> None:
    editor = trained[0]
    editor.page.evaluate("w => window.app.loadGraphData(w)", editor.workflow())
    check_shown(editor)
    saved = editor.workflow()
    editor.reload()
    editor.load(saved)
    editor.page.wait_for_function(f"() => ({STATUS})()?.startsWith('step {STEPS}')")
    check_shown(editor)


def test_two_lines_that_are_one_are_both_seen(trained) -> None:
    """At step 0 the LoRA is nothing, and with little training both losses stay close."""
    editor = trained[0]
    held_out = [{"step": step, "anchored": 0.5, "unanchored": 0.5} for step in (1, STEPS)]
    curve = {"steps": [1, STEPS], "loss": [1, 1], "smooth": [1, 0.8], "held_out": held_out}
    state = {"step": STEPS, "steps": STEPS, "warnings": [], "samples": [], "curve": curve}
    state["lora_name"] = NAME
    editor.page.evaluate(
        """state => window.app.api.dispatchEvent(
            new CustomEvent('fvg.training', {detail: state}))""",
        {**state, "node": TRAINER},
    )
    drawn = editor.page.evaluate(DRAWN)
    assert all(pixels > 10 for pixels in drawn.values()), drawn


def test_a_run_of_another_name_is_not_shown(trained) -> None:
    """Another workflow, also in another window, may have a trainer with the same id."""
    editor = trained[0]
    shown = editor.page.evaluate(
        """([id, state]) => {
            const name = window.app.graph.getNodeById(id).widgets.find(w => w.name === 'lora_name');
            const told = (own, of) => {
                name.value = own;
                window.app.api.dispatchEvent(new CustomEvent('fvg.training',
                    {detail: {...state, lora_name: of, node: `${id}`}}));
                return document.querySelector('.fvg-training-status').textContent;
            };
            const kept = name.value;
            const before = document.querySelector('.fvg-training-status').textContent;
            const found = [told(kept, 'other') === before, told(` ${kept}.safetensors `, kept)];
            name.value = kept;
            return found;
        }""",
        [
            int(TRAINER),
            {"step": 2, "steps": 7, "warnings": [], "samples": [], "curve": EMPTY_CURVE},
        ],
    )
    assert shown[0]
    assert shown[1].startswith("step 2 of 7")


def test_a_node_inside_a_subgraph_is_found(trained) -> None:
    """Its id is a path there, which the server sends as it is."""
    editor = trained[0]
    curve = {"steps": [1, 3], "loss": [1, 0.5], "smooth": [1, 0.7], "held_out": []}
    state = {
        "lora_name": NAME, "step": 3, "steps": 9, "loss": 0.5, "it_per_second": 0.5,
        "eta_seconds": 12, "held_out": None, "samples": [], "warnings": ["mind the gap"],
        "curve": curve,
    }  # fmt: skip
    found = editor.page.evaluate(
        """([id, state]) => {
            const graph = window.app.graph;
            const {node} = graph.convertToSubgraph(new Set([graph.getNodeById(id)]));
            const inner = node.subgraph.nodes.find(n => n.type === 'FVGLoraTrainer');
            window.app.api.dispatchEvent(new CustomEvent('fvg.training',
                {detail: {...state, node: `${node.id}:${inner.id}`}}));
            return inner.widgets.find(w => w.name === 'training').element.textContent;
        }""",
        [int(TRAINER), state],
    )
    assert found.startswith("step 3 of 9 · loss 0.500 · 2.0 s/step · 12 s left")
    assert "mind the gap" in found


def test_nothing_of_ours_failed(trained) -> None:
    assert not trained[0].failures("lora_trainer", "training/")
