"""Workflow to prompt, node types read from a real server."""

import json
from pathlib import Path

import pytest

from fvg_core.bench.client import ComfyClient
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.errors import HostError
from tests.bench.cases import CASES, EXPECTED, bare, empty, node, preview, workflow

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def object_info(comfy):
    with ComfyClient(comfy.url) as client:
        return client.object_info()


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, object_info: dict) -> None:
    assert bare(to_prompt(CASES[name], object_info)) == EXPECTED[name]


def test_primitive_fills_the_widget_it_is_linked_to(object_info: dict) -> None:
    nodes = [
        node(1, "PrimitiveNode", (), (("INT", "INT", (1,)),), (48, "fixed")),
        node(2, "EmptyImage", (("width", "INT", 1),), (), (16, 24, 1, 7), widgets=("width",)),
    ]
    prompt = to_prompt(workflow(nodes, [[1, 1, 0, 2, 0, "INT"]]), object_info)
    assert list(prompt) == ["2"]
    assert prompt["2"]["inputs"]["width"] == 48


def test_titles_are_the_users_own_or_the_display_name(object_info: dict) -> None:
    named = {**empty(1, 1), "title": "Mine"}
    prompt = to_prompt(workflow([named, preview(2, 1)], [[1, 1, 0, 2, 0, "IMAGE"]]), object_info)
    assert [data["_meta"]["title"] for data in prompt.values()] == ["Mine", "Preview Image"]


def test_values_saved_by_name(object_info: dict) -> None:
    data = {**empty(1), "widgets_values": {"width": 99}}
    inputs = to_prompt(workflow([data], []), object_info)["1"]["inputs"]
    assert inputs == {"width": 99, "height": 512, "batch_size": 1, "color": 0}


def test_unknown_node_type_is_named(object_info: dict) -> None:
    with pytest.raises(HostError, match=r"'NoSuchNode'.*Install the pack"):
        to_prompt(workflow([node(1, "NoSuchNode")], []), object_info)


def test_widget_that_cannot_be_read_is_refused(object_info: dict) -> None:
    with pytest.raises(HostError, match=r"'image' \(LOAD_3D\).*Export \(API\)"):
        to_prompt(workflow([node(1, "Load3D", values=("none", "", 1))], []), object_info)


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"1": {"class_type": "X", "inputs": {}}})])
def test_file_that_is_no_workflow(text: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(HostError, match=r"w\.json is not a workflow"):
        load_workflow(path)


def test_a_converted_case_runs(client: ComfyClient, object_info: dict) -> None:
    result = client.run(to_prompt(CASES["subgraph in a subgraph"], object_info))
    assert len(result.files("3")) == 1
