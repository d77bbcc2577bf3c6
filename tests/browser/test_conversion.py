"""Our converter and the browser's own graphToPrompt make the same prompt."""

import pytest

from fvg_core.bench.client import ComfyClient
from fvg_core.bench.workflow import to_prompt
from tests.bench.cases import CASES, bare, node, workflow

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(300)]

# Frontend extensions give these nodes widgets that /object_info does not tell of.
BY_EXTENSION = {
    "CustomCombo",
    "ImageCompare",
    "Load3D",
    "Load3DAdvanced",
    "LoadImageOutput",
    "Preview3D",
    "Preview3DAdvanced",
    "PreviewGaussianSplat",
    "PreviewPointCloud",
    "RecordAudio",
    "Save3DAdvanced",
    "SaveGLB",
    "SaveGaussianSplat",
    "SavePointCloud",
    "WebcamCapture",
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, editor, client: ComfyClient) -> None:
    editor.load(CASES[name])
    browser = editor.prompt()
    assert browser, "the browser loaded nothing"
    info = client.object_info()
    assert bare(to_prompt(CASES[name], info)) == bare(browser)
    # What the browser saves again (it may spell it otherwise) means the same.
    assert bare(to_prompt(editor.workflow(), info)) == bare(browser)


def test_primitive(editor, client: ComfyClient) -> None:
    nodes = [
        node(1, "PrimitiveNode", (), (("INT", "INT", (1,)),), (48, "fixed")),
        node(2, "EmptyImage", (("width", "INT", 1),), (), (16, 24, 1, 7), widgets=("width",)),
    ]
    graph = workflow(nodes, [[1, 1, 0, 2, 0, "INT"]])
    editor.load(graph)
    assert bare(to_prompt(graph, client.object_info())) == bare(editor.prompt())


def test_every_node_type_with_its_defaults(editor, client: ComfyClient) -> None:
    info = client.object_info()
    kinds = sorted(set(info) - BY_EXTENSION)
    assert len(kinds) > 400
    editor.page.evaluate(
        """kinds => {
            window.app.graph.clear();
            for (const kind of kinds) {
                const node = window.LiteGraph.createNode(kind);
                if (node) window.app.graph.add(node);
            }
        }""",
        kinds,
    )
    browser = bare(editor.prompt())
    ours = bare(to_prompt(editor.workflow(), info))
    assert len(browser) > 400
    wrong = {
        data["class_type"]: (data["inputs"], ours[number]["inputs"])
        for number, data in browser.items()
        if ours[number] != data
    }
    assert not wrong
