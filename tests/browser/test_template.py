"""The template in the real editor: opened from the list, run, and restored from its own MP4."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.host import LINK_NAME, PACK, Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.workflow import load_workflow, to_prompt
from tests.bench.cases import bare
from tests.browser.conftest import Editor, inside

pytestmark = [pytest.mark.browser, pytest.mark.host, pytest.mark.timeout(600)]

TEMPLATE = PACK / "workflows" / "fvg_tiny.json"
FIRST_CANDIDATE = "document.querySelector('.fvg-picker-pick')"
DROP = """([name, data]) => {
    const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, {type: 'video/mp4'}));
    const canvas = document.querySelector('#graph-canvas');
    const event = {dataTransfer: transfer, bubbles: true, cancelable: true, clientX: 900,
                   clientY: 700};
    canvas.dispatchEvent(new DragEvent('drop', event));
}"""


@pytest.fixture(scope="module")
def opened(editor: Editor) -> Editor:
    """The editor after a newcomer's clicks: Templates, our pack, the tiny world."""
    page = editor.page
    page.get_by_role("button", name="Templates").first.click()
    page.get_by_text(LINK_NAME, exact=True).first.click()
    page.get_by_text(TEMPLATE.stem, exact=True).first.click()
    page.wait_for_function("() => window.app.graph.nodes.length > 10")
    return editor


def test_opens_without_red_nodes(opened: Editor) -> None:
    assert opened.missing_nodes() == []
    stored = load_workflow(TEMPLATE)
    shown = opened.workflow()
    assert sorted(n["type"] for n in shown["nodes"]) == sorted(n["type"] for n in stored["nodes"])
    assert [g["title"] for g in shown["groups"]] == [g["title"] for g in stored["groups"]]


def test_our_prompt_is_the_browsers(opened: Editor, client: ComfyClient) -> None:
    browser = opened.prompt()
    assert to_prompt(load_workflow(TEMPLATE), client.object_info()) == browser
    assert {node["class_type"] for node in browser.values()} >= {
        "FVGFirstFramePromptRewriter",
        "FVGAnchorLatentInjector",
        "SaveVideo",
    }


def test_notes_and_titles_explain_every_group(opened: Editor) -> None:
    workflow = load_workflow(TEMPLATE)
    notes = [n for n in workflow["nodes"] if n["type"] == "MarkdownNote"]
    assert len(notes) > len(workflow["groups"])
    boxes = [group["bounding"] for group in workflow["groups"]]
    for node in workflow["nodes"]:
        if node not in notes:
            assert any(inside(node, box) for box in boxes), f"{node['type']} is in no group"


def test_nodes_do_not_overlap() -> None:
    nodes = load_workflow(TEMPLATE)["nodes"]
    for i, one in enumerate(nodes):
        for other in nodes[i + 1 :]:
            apart = any(
                a["pos"][axis] + a["size"][axis] <= b["pos"][axis]
                for axis in (0, 1)
                for a, b in ((one, other), (other, one))
            )
            assert apart, f"{one['type']} lies on {other['type']}"


@pytest.fixture(scope="module")
def video(opened: Editor, comfy: ComfyServer) -> Path:
    """What pressing Run and clicking the first candidate leaves."""
    before = set(comfy.output.rglob("*.mp4"))
    with ComfyClient(comfy.url) as client:
        earlier = set(client.get("/history"))
        opened.page.get_by_test_id("queue-button").click()
        opened.page.wait_for_function(f"() => {FIRST_CANDIDATE}")
        opened.page.evaluate(f"() => {FIRST_CANDIDATE}.click()")
        for _ in range(480):
            history = client.get("/history")
            done = [e for k, e in history.items() if k not in earlier and _saved_video(e)]
            if done:
                break
            opened.page.wait_for_timeout(500)
    assert done, f"no video after 240 s:\n{comfy.log_tail()}"
    made = set(comfy.output.rglob("*.mp4")) - before
    assert len(made) == 1
    return made.pop()


def _saved_video(entry: dict) -> bool:
    files = [f for output in entry["outputs"].values() for f in output.get("images", ())]
    return any(f["filename"].endswith(".mp4") for f in files)


def test_run_button_makes_a_video(video: Path) -> None:
    from fvg_core.bench.video import read_frames

    frames = read_frames(video)
    assert len(frames) == 17
    assert frames[0].size == (256, 256)


def test_dropped_video_restores_the_graph(opened: Editor, video: Path, client: ComfyClient) -> None:
    # Not what the canvas says now: a finished SaveVideo has a preview widget on top.
    before = bare(to_prompt(load_workflow(TEMPLATE), client.object_info()))
    choice_in(before)
    opened.page.evaluate("() => window.app.graph.clear()")
    assert opened.prompt() == {}
    opened.page.evaluate(DROP, [video.name, base64.b64encode(video.read_bytes()).decode()])
    opened.page.wait_for_function("() => window.app.graph.nodes.length > 10")
    restored = bare(opened.prompt())
    assert choice_in(restored).endswith(": 0")
    assert restored == before
    assert len(opened.workflow()["groups"]) == 5


def choice_in(prompt: dict) -> str:
    """Takes the picker's choice out of a prompt."""
    (picker,) = (n for n in prompt.values() if n["class_type"] == "FVGAnchorPicker")
    return picker["inputs"].pop("choice")


@pytest.fixture(scope="module")
def bare_host(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("bare")
    with ComfyServer(install, base, extra_args=("--disable-all-custom-nodes",)) as server:
        yield server


def test_no_console_errors_of_ours(
    opened: Editor,
    video: Path,
    bare_host: ComfyServer,
    open_editor: Callable[[ComfyServer], Editor],
) -> None:
    without = open_editor(bare_host)
    without.page.get_by_role("button", name="Templates").first.click()
    without.page.wait_for_timeout(3000)
    assert set(opened.errors) - set(without.errors) == set()
