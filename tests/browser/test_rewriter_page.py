"""The rewriter in the real editor: both texts, checks, edits that belong to one rewrite."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fvg_core.bench.client import ComfyClient
from tests.browser.conftest import Editor

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

NODE = "FVGFirstFramePromptRewriter"
PROMPT = "Two red balls roll past a wooden chair."
EDIT = "Two red balls on a blue floor, left of a wooden chair."
GRAPH = {
    "1": {"class_type": NODE, "inputs": {"prompt": PROMPT, "backend": "rules", "seed": 0}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
FIND = """const find = graph => graph.nodes.flatMap(n =>
    n.type === 'FVGFirstFramePromptRewriter' ? [n] : n.subgraph ? find(n.subgraph) : []);
    const node = find(window.app.graph)[0];
    const widget = name => node.widgets.find(w => w.name === name);
    const panel = widget('rewrites').element;
    const text = part => panel.querySelector('.fvg-rewriter-' + part).textContent;"""
SHOWN = f"""() => {{ {FIND}
    return {{
        status: text('status'), original: text('original'), checks: text('checks'),
        hint: text('hint'), warning: text('warning'), edited: widget('edited').value,
        text: panel.querySelector('textarea').value, stops: widget('stop_here').value,
        failed: panel.querySelectorAll('.fvg-rewriter-failed').length,
    }};
}}"""
TYPE = f"""value => {{ {FIND}
    const area = panel.querySelector('textarea');
    area.value = value;
    area.dispatchEvent(new Event('input', {{bubbles: true}}));
}}"""
SET = f"""([name, value]) => {{ {FIND}
    widget(name).value = value;
    widget(name).callback?.(value);
}}"""
PRESS = f"""label => {{ {FIND}
    [...panel.querySelectorAll('button')].find(b => b.textContent === label).click();
}}"""

GOES_ON = f"""() => {{ {FIND}
    return ![...panel.querySelectorAll('button')]
        .find(b => b.textContent === 'Go on with this text').hidden;
}}"""


class Page:
    """The editor with one rewriter."""

    def __init__(self, editor: Editor, client: ComfyClient) -> None:
        self.editor, self.client, self.page = editor, client, editor.page

    def open(self) -> None:
        self.page.evaluate("graph => window.app.loadApiJson(graph, 'test')", GRAPH)
        self.page.wait_for_function(f"() => ({SHOWN})().status.startsWith('Run')")

    def shown(self) -> dict[str, Any]:
        return self.page.evaluate(SHOWN)

    def run(self, action: Any = None) -> list[str]:
        """Press Run, or do `action`; what the preview behind the node shows."""
        before = set(self.client.get("/history"))
        (action or (lambda: self.page.get_by_test_id("queue-button").click()))()
        for _ in range(300):
            new = [(k, v) for k, v in self.client.get("/history").items() if k not in before]
            if new:
                break
            self.page.wait_for_timeout(100)
        ((run, entry),) = new
        assert entry["status"]["status_str"] == "success"
        self.editor.wait_told(run)
        return [t for name, out in entry["outputs"].items() for t in out["text"] if name == "2"]

    def do(self, script: str, value: Any) -> None:
        self.page.evaluate(script, value)


@pytest.fixture(scope="module")
def page(editor: Editor, client_of_module: ComfyClient) -> Page:
    return Page(editor, client_of_module)


@pytest.fixture(scope="module")
def client_of_module(comfy):
    with ComfyClient(comfy.url) as client:
        yield client


def test_shows_both_texts_and_the_checks(page):
    page.open()
    (text,) = page.run()
    shown = page.shown()
    assert (shown["original"], shown["text"]) == (PROMPT, text)
    assert shown["status"] == "by rules"
    assert "✓ entities" in shown["checks"]
    assert shown["failed"] == 0
    assert shown["edited"] == ""


def test_an_edit_goes_on_and_is_checked(page):
    page.open()
    page.run()
    page.do(TYPE, EDIT)
    assert "next run" in page.shown()["hint"]
    assert page.run() == [EDIT]
    shown = page.shown()
    assert (shown["text"], shown["hint"], shown["failed"]) == (EDIT, "edited", 0)
    page.do(TYPE, EDIT.replace("Two", "Three"))
    page.run()
    assert "✗ counts: 2 balls" in page.shown()["checks"]


def test_an_edit_belongs_to_its_rewrite(page):
    page.open()
    page.run()
    page.do(TYPE, EDIT)
    page.do(SET, ["prompt", "Two green balls roll past a wooden chair."])
    assert "no longer applies" in page.shown()["warning"]
    (text,) = page.run()
    assert text.startswith("Two green balls")
    shown = page.shown()
    assert "does not apply" in shown["warning"]
    assert shown["text"] == text
    page.do(SET, ["prompt", PROMPT])
    assert page.run() == [EDIT]
    page.do(PRESS, "Use the rewrite")
    assert page.run()[0].startswith("Two red balls")
    assert page.shown()["edited"] == ""


def test_an_edit_of_another_rewrite_can_be_discarded(page):
    page.open()
    page.do(SET, ["edited", json.dumps({"0123456789ab": "a text of long ago"})])
    page.run()
    assert "does not apply" in page.shown()["warning"]
    page.do(PRESS, "Discard")
    shown = page.shown()
    assert (shown["edited"], shown["warning"]) == ("", "")


def test_stopping_and_going_on(page):
    page.open()
    page.do(SET, ["stop_here", True])
    assert page.run() == []
    page.do(TYPE, EDIT)
    assert page.run(lambda: page.do(PRESS, "Go on with this text")) == [EDIT]
    assert page.shown()["stops"] is True


def test_where_a_subgraph_shows_the_stop_there_is_no_button(page):
    page.open()
    page.do(SET, ["stop_here", True])
    page.run()
    assert page.page.evaluate(GOES_ON) is True
    page.page.evaluate(
        """() => { const {graph} = window.app;
            const [node, yes] = [graph.getNodeById(1), LiteGraph.createNode('PrimitiveBoolean')];
            graph.add(yes);
            yes.connect(0, node, node.inputs.findIndex(input => input.name === 'stop_here'));
            graph.convertToSubgraph(new Set([node])); }"""
    )
    assert page.page.evaluate(GOES_ON) is False


def test_variations_are_paged(page):
    page.open()
    page.do(SET, ["variations", 3])
    page.run()
    first = page.shown()
    assert first["status"].startswith("1 of 3")
    page.do(PRESS, "›")
    second = page.shown()
    assert second["status"].startswith("2 of 3")
    assert second["text"] != first["text"]


def test_it_is_there_after_a_reload(page):
    page.open()
    page.run()
    page.do(TYPE, EDIT)
    before = page.shown()
    page.editor.wait_kept()
    page.editor.reload()
    page.page.wait_for_function(f"() => ({SHOWN})().original !== ''")
    assert page.shown() == before
    assert "fvg_rewrites" not in str(page.editor.prompt())


def test_a_node_inside_a_subgraph_is_shown(page):
    page.open()
    page.page.evaluate(
        "() => { const graph = window.app.graph;"
        " graph.convertToSubgraph(new Set([graph.getNodeById(1)])); }"
    )
    page.run()
    assert page.shown()["original"] == PROMPT


def test_the_other_renderer(page):
    """Nodes drawn by the page's framework instead of on the canvas."""
    use = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    page.page.evaluate(use, True)
    try:
        page.open()
        page.run()
        area = page.page.locator(".fvg-rewriter-edit")
        area.fill(EDIT)
        assert page.run() == [EDIT]
        assert page.shown()["hint"] == "edited"
        assert page.page.get_by_text("edited", exact=True).count() == 1  # no widget of that name
    finally:
        page.page.evaluate(use, False)


def test_a_strange_file_shows_nothing_and_harms_nothing(page):
    page.open()
    saved = page.editor.workflow()
    for given in ("x", [{"key": "<b>", "checks": 7}, None], {"key": 1}):
        for node in saved["nodes"]:
            if node["type"] == NODE:
                node["properties"]["fvg_rewrites"] = given
        page.editor.load(saved)
        page.page.wait_for_timeout(200)
        assert page.shown()["status"].startswith("Run")


def test_nothing_of_ours_failed(page):
    assert not page.editor.failures("prompt_rewriter", "rewriter/")
