"""The templates of every video model in the real editor, and the blueprint dropped and run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.host import PACK
from dev.server import ComfyServer
from dev.templates.blueprint import NAME
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.video import read_frames
from fvg_core.bench.workflow import load_workflow, to_prompt
from tests.browser.conftest import Editor
from tests.host import stand_ins

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(300)]

TEMPLATES = sorted(PACK.glob("workflows/*.json"))
STEPS = ["1  Prompt", "2  Anchor", "3  Choose", "4  Animate"]
OF_THE_TINY_WORLD = {
    "fvg_tiny",
    "fvg_diagnose",
    "fvg_train_anchor_lora",
}  # they bring their files and groups
# As they are drawn: [type, left, top, width, height] of nodes, title bars included, and groups.
NODES = """() => window.app.graph.nodes.map(n => [n.type, ...n.getBounding()])"""
GROUPS = """() => window.app.graph.groups.map(g => [g.title, ...g._bounding])"""
# As a double click does, which a busy machine may take for two.
SEARCH = "() => window.app.extensionManager.command.execute('Workspace.SearchBox.Toggle')"
WIRE = """() => {
    const {graph} = window.app;
    const [whole] = graph.nodes;
    const add = kind => { const n = window.LiteGraph.createNode(kind); graph.add(n); return n; };
    const [world, save] = [add('FVGTinyWorldLoader'), add('SaveVideo')];
    const named = name => whole.inputs.findIndex(slot => slot.name === name);
    const sources = {model: 0, image_model: 1, clip: 2, image_clip: 2, vae: 3, image_vae: 3};
    for (const [name, slot] of Object.entries(sources)) world.connect(slot, whole, named(name));
    whole.connect(0, save, 0);
    const settings = {width: 64, height: 64, length: 17, candidates: 1, image_steps: 4};
    for (const [name, value] of Object.entries(settings))
        whole.widgets.find(w => w.name === name).value = value;
}"""


@pytest.fixture(scope="module")
def page(comfy: ComfyServer, open_editor) -> Editor:
    """An editor on a server that has all files."""
    with ComfyClient(comfy.url) as client:
        named = [path for path in TEMPLATES if path.stem not in OF_THE_TINY_WORLD]
        stand_ins.write(comfy, client, map(load_workflow, named))
    return open_editor(comfy)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_it_opens_whole_and_tidy(path: Path, page: Editor, client: ComfyClient) -> None:
    stored = load_workflow(path)
    page.load(stored)
    count = len(stored["nodes"])
    page.page.wait_for_function("count => window.app.graph.nodes.length === count", arg=count)
    assert page.missing_nodes() == []
    assert to_prompt(stored, client.object_info()) == page.prompt()
    nodes, groups = page.page.evaluate(NODES), page.page.evaluate(GROUPS)
    overlaps = [
        (one[0], other[0])
        for i, one in enumerate(nodes)
        for other in nodes[i + 1 :]
        if not _apart(one[1:], other[1:])
    ]
    assert overlaps == []
    if path.stem not in OF_THE_TINY_WORLD:
        assert [title for title, *_ in groups] == STEPS
    outside = [n[0] for n in nodes if not any(_inside(n[1:], g[1:]) for g in groups)]
    assert set(outside) <= {"MarkdownNote"}


def _apart(one: list[float], other: list[float]) -> bool:
    return any(
        a[axis] + a[axis + 2] <= b[axis] for axis in (0, 1) for a, b in ((one, other), (other, one))
    )


def _inside(node: list[float], group: list[float]) -> bool:
    return all(
        group[axis] <= node[axis] and node[axis] + node[axis + 2] <= group[axis] + group[axis + 2]
        for axis in (0, 1)
    )


def test_the_blueprint_is_dropped_wired_and_run(
    page: Editor, comfy: ComfyServer, client: ComfyClient
) -> None:
    page.page.evaluate("() => window.app.graph.clear()")
    page.page.mouse.move(900, 600)
    page.page.evaluate(SEARCH)
    page.page.wait_for_function("() => document.activeElement?.tagName === 'INPUT'")
    page.page.keyboard.type(NAME)
    page.page.get_by_text(NAME).first.wait_for()
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("() => window.app.graph.nodes.length === 1")
    page.page.evaluate(WIRE)
    assert page.missing_nodes() == []
    prompt = page.prompt()
    assert to_prompt(page.workflow(), client.object_info()) == prompt
    before = set(comfy.output.rglob("*.mp4"))
    client.run(prompt)
    (video,) = set(comfy.output.rglob("*.mp4")) - before
    assert len(read_frames(video)) == 17


def test_nothing_is_said_in_the_console(page: Editor) -> None:
    assert [error for error in page.errors if "fvg" in error.lower()] == []
    assert [error for error in page.errors if error.startswith("uncaught")] == []
