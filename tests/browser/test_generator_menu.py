"""The generator's menu in the real editor: what it writes is what the node reads."""

from __future__ import annotations

import re

import pytest

from dev.host import PACK
from fvg_core.bench.workflow import load_workflow
from fvg_core.image.seeds import candidate_seeds
from tests.browser.conftest import Editor

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(300)]

FIND = "const node = window.app.graph.nodes.find(n => n.type === 'FVGAnchorImageGenerator');"
VALUES = f"""() => {{ {FIND}
    return Object.fromEntries(node.widgets.map(w => [w.name, w.value])); }}"""
# The generator in a subgraph that shows an input outside, as the blueprint has it; its menu.
INSIDE = f"""([kind, name]) => {{ {FIND}
    const {{graph, canvas}} = window.app;
    const number = window.LiteGraph.createNode(kind);
    graph.add(number);
    node.widgets.find(w => w.name === 'seeds').value = '5, 6';
    number.connect(0, node, node.inputs.findIndex(input => input.name === name));
    const whole = graph.convertToSubgraph(new Set([node])).node;
    canvas.openSubgraph(whole.subgraph, whole);
    const inner = whole.subgraph.nodes.find(n => n.type === node.type);
    canvas.selectNode(inner);
    canvas.processContextMenu(inner, new PointerEvent('contextmenu')); }}"""
# Opens the node's menu at the place where it is drawn.
OPEN = f"""() => {{ {FIND}
    window.app.canvas.selectNode(node);
    window.app.canvas.processContextMenu(node, new PointerEvent('contextmenu')); }}"""


@pytest.fixture(scope="module")
def opened(editor: Editor) -> Editor:
    editor.load(load_workflow(PACK / "workflows" / "fvg_tiny.json"))
    editor.page.wait_for_function("() => window.app.graph.nodes.length > 15")
    return editor


def choose(editor: Editor, *labels: str) -> dict:
    """Click one entry after the other; the node's widgets then."""
    editor.page.evaluate(OPEN)
    for label in labels:
        entry = re.compile(f"^{re.escape(label)}")
        editor.page.locator(".litemenu-entry", has_text=entry).last.click()
    return editor.page.evaluate(VALUES)


def test_one_candidate_gets_a_new_seed_and_all_can_be_locked(opened: Editor) -> None:
    before = opened.page.evaluate(VALUES)
    first, count = before["seed"], before["candidates"]
    counting = candidate_seeds(first, count)
    assert before["seeds"] == ""
    changed = choose(opened, "New seed for", f"Candidate 2 (seed {counting[2]})")["seeds"]
    seeds = candidate_seeds(first, count, changed)
    assert seeds[2] != counting[2]
    assert [s for i, s in enumerate(seeds) if i != 2] == counting[:2] + counting[3:]
    locked = choose(opened, "Lock all seeds")["seeds"]
    assert locked == ", ".join(map(str, seeds))
    assert opened.prompt()["8"]["inputs"]["seeds"] == locked
    assert choose(opened, "Unlock all seeds")["seeds"] == ""
    assert opened.errors == [error for error in opened.errors if "fvg" not in error.lower()]


@pytest.mark.parametrize(
    ("kind", "name", "labels"),
    [
        ("PrimitiveInt", "seed", ("New seed for", "Lock all seeds")),
        ("PrimitiveString", "seeds", ("New seed for", "Lock all seeds", "Unlock all seeds")),
    ],
)
def test_seeds_that_come_from_outside_are_left_alone(opened: Editor, kind, name, labels) -> None:
    opened.load(load_workflow(PACK / "workflows" / "fvg_tiny.json"))
    opened.page.evaluate(INSIDE, [kind, name])
    for label in labels:
        entry = opened.page.locator(".litemenu-entry", has_text=re.compile(f"^{label}")).last
        assert "disabled" in entry.get_attribute("class").split(), label
