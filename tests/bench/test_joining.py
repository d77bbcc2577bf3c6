"""Which servers a batch takes: they have what its graphs need."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from batch_parts import INFO, api_prompt, node

from fvg_core.bench.batch import Loader, Request
from fvg_core.bench.phases import VIDEOS
from fvg_core.bench.prompt_list import Entry
from fvg_core.errors import BatchError, HostError

LINE = Entry("p", 1)


def info(*files: str) -> dict[str, Any]:
    """What a server with these models says of its nodes."""
    told = copy.deepcopy(INFO)
    told["UNETLoader"] = node("UNETLoader", "Load Diffusion Model", unet_name=[list(files)])
    told["PreviewImage"] = node("PreviewImage", "Preview", images=["IMAGE"])
    told["PreviewAny"] = node("PreviewAny", "Preview as Text")
    for kind in ("SaveVideo", "PreviewImage", "PreviewAny"):
        told[kind]["output_node"] = True
    return told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A template whose videos need wan.safetensors; nothing needs unused.safetensors."""
    graph = api_prompt()
    for number, file in (("3", "wan.safetensors"), ("4", "unused.safetensors")):
        graph[number] = {"class_type": "UNETLoader", "inputs": {"unet_name": file}}
    graph["15"]["inputs"]["model"] = ["3", 0]
    (tmp_path / "template.json").write_text(json.dumps(graph))
    return tmp_path / "template.json"


def accept(path: Path, told: dict[str, Any], entry: Entry = LINE, **more: Any) -> None:
    request = Request(lambda: iter([entry]), path, path.parent, (), **more)
    Loader(request, request.phases()).accept(told)


def test_a_server_without_a_model_that_the_template_names_is_refused(path: Path):
    accept(path, info("wan.safetensors"))
    for files in ((), ("other.safetensors",)):
        with pytest.raises(HostError, match=r"no 'wan.safetensors'.*Model \(node 3, unet_name\)"):
            accept(path, info(*files))


def test_what_stands_in_the_place_of_the_template_s_model_counts(path: Path):
    told = info("other.safetensors")
    accept(path, told, settings=(("#3.unet_name", "other.safetensors"),))
    accept(path, told, Entry("p", 1, settings=(("#3.unet_name", "other.safetensors"),)))


def test_a_server_that_only_draws_needs_no_video_model(path: Path):
    accept(path, info(), stop_after="anchors")


def test_a_mistake_in_the_first_line_is_named_with_its_line(path: Path):
    entry = Entry("p", 1, settings=(("#3.unet_name", "third.safetensors"),))
    with pytest.raises(BatchError, match=r"Line 1 \('p'\): .* has no 'third.safetensors'"):
        accept(path, info("wan.safetensors"), entry)


def test_of_an_empty_list_nothing_is_needed(path: Path):
    request = Request(lambda: iter(()), path, path.parent, ())
    Loader(request, [VIDEOS]).accept(info())
