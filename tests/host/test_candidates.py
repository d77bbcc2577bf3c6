"""Candidates on disk, on the real server: what is found is not drawn, what is missing is."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import NODE, Studio
from graphs import LORA, SIZE, Builder
from PIL import Image

from dev.host import PACK
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient, Event, InterruptedRunError
from fvg_core.bench.results import Result

pytestmark = pytest.mark.host

LEVEL = 1 / 255


@pytest.fixture
def studio(comfy, client) -> Studio:
    return Studio(comfy, client)


def pixels(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)


def ages(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}


def test_candidates_are_files_that_a_person_finds(studio):
    drawn = studio.run()
    assert drawn.folder.parent == studio.output / "fvg" / "anchors"
    assert drawn.folder.name.startswith("a-red-circle-")
    assert [path.name for path in drawn.files] == ["seed-5.png", "seed-6.png", "seed-7.png"]
    assert drawn.seeds == "5, 6, 7"
    assert {p.name for p in drawn.folder.iterdir()} == {*ages(drawn.folder), "recipe.json"}
    assert torch.equal(drawn.images, torch.stack([pixels(path) for path in drawn.files]))
    assert (drawn.images[0] - drawn.images[1]).abs().max() > 0.05  # each has its own seed
    recipe = json.loads((drawn.folder / "recipe.json").read_text())
    asked = {"prompt": studio.prompt, "steps": 2, "cfg": 2.0, "sampler_name": "euler"}
    assert recipe.items() >= asked.items()
    assert {"fvg", "comfyui", "torch"} <= recipe["versions"].keys()


def test_a_picture_carries_the_workflow(studio):
    drawn = studio.run()
    with Image.open(drawn.files[1]) as image:
        graph, own = json.loads(image.text["prompt"]), json.loads(image.text["fvg"])
    assert NODE in {node["class_type"] for node in graph.values()}
    assert (own["seed"], own["prompt"]) == (6, studio.prompt)


def test_what_is_found_loads_no_model_and_is_the_same_to_the_bit(studio):
    first = studio.run()
    assert [studio.asked(kind) for kind in ("model", "clip", "vae")] == [1, 1, 1]
    studio.unrelated()
    again = studio.run()
    assert [studio.asked(kind) for kind in ("model", "clip", "vae")] == [1, 1, 1]
    assert torch.equal(first.images, again.images)
    assert again.files == first.files


def test_more_of_them_are_added_to_those_that_are_there(studio):
    first = studio.run(candidates=2)
    before = ages(first.folder)
    more = studio.run(candidates=4)
    assert more.folder == first.folder
    assert len(more.images) == 4
    assert ages(more.folder).items() > before.items()
    assert torch.equal(more.images[:2], first.images)
    assert studio.asked() == 2


def test_one_candidate_is_drawn_again_with_another_seed(studio):
    first = studio.run()
    before = ages(first.folder)
    changed = studio.run(seeds="5, 912")
    assert changed.seeds == "5, 912, 7"
    assert ages(changed.folder).items() > before.items()
    assert torch.equal(changed.images[[0, 2]], first.images[[0, 2]])
    assert (changed.images[1] - first.images[1]).abs().max() > 0.05
    back = studio.run()
    assert torch.equal(back.images, first.images)
    assert studio.asked() == 2


@pytest.mark.parametrize("harm", ["deleted", "damaged", "replaced by another size"])
def test_one_file_that_is_gone_is_made_anew(studio, harm):
    first = studio.run()
    before, lost = ages(first.folder), first.files[1]
    if harm == "deleted":
        lost.unlink()
    elif harm == "damaged":
        lost.write_bytes(lost.read_bytes()[:-200])
    else:
        Image.new("RGB", (SIZE, SIZE * 2)).save(lost)
    again = studio.run()
    assert torch.equal(again.images, first.images)
    changed = {name for name, age in ages(first.folder).items() if age != before[name]}
    assert changed == {lost.name}


def test_the_host_does_not_hand_out_what_was_deleted(studio):
    """The same graph at once again: from the host's own cache, unless a file changed."""

    def run(graph: Builder) -> bool:
        return node in studio.client.run(graph.graph).cached

    graph = studio.world(counted=False)
    node = studio.generator(graph)
    graph.add("PreviewImage", images=[node, 0])
    first = studio.client.run(graph.graph)
    assert node not in first.cached
    assert run(graph)
    files = [studio.output / f.subfolder / f.filename for f in first.files(node)]
    files[0].unlink()
    assert not run(graph)
    assert files[0].exists()
    assert run(graph)


def renamed(graph: Builder, names: dict[str, str]) -> dict:
    def link(value):
        return [names[value[0]], value[1]] if isinstance(value, list) else value

    return {
        names[name]: {
            "class_type": node["class_type"],
            "inputs": {key: link(value) for key, value in reversed(node["inputs"].items())},
            "_meta": {"title": "renamed"},
        }
        for name, node in reversed(graph.graph.items())
    }


def test_a_moved_node_finds_its_candidates(studio):
    """Other ids, another order, inside a subgraph, twice in one graph."""
    first = studio.run()
    graph = studio.world()
    studio.generator(graph)
    copy = studio.generator(graph)
    for node in [name for name in graph.graph if name.startswith(NODE)]:
        graph.add("PreviewImage", images=[node, 0])
    moved = renamed(graph, {name: f"{7 * i}:2:3" for i, name in enumerate(graph.graph)})
    result = studio.client.run(moved)
    shown = [f for node in moved if moved[node]["class_type"] == NODE for f in result.files(node)]
    assert copy
    assert [studio.output / f.subfolder / f.filename for f in shown] == [*first.files] * 2
    assert studio.asked() == 1


@pytest.mark.parametrize(
    "change", [{"steps": 3}, {"cfg": 2.5}, {"sampler_name": "heun"}, {"negative": "blue"}]
)
def test_what_changes_the_pictures_makes_a_new_folder(studio, change):
    assert studio.run(candidates=1).folder != studio.run(candidates=1, **change).folder
    assert studio.asked() == 2


def test_what_does_not_change_the_pictures_keeps_the_folder(studio):
    first = studio.run(candidates=1, cfg=2.0)
    for same in ({"cfg": 2}, {"batch": 4}, {"fit": "pad"}):
        assert studio.run(candidates=1, **same).files == first.files
    assert studio.asked() == 1


def test_another_model_file_of_that_name_makes_a_new_folder(studio, comfy):
    name = f"{studio.name}.safetensors"
    file = comfy.base / "loras" / name
    file.parent.mkdir(exist_ok=True)
    shutil.copy(PACK / "fvg_core" / "tiny" / "weights" / "loras" / LORA, file)

    def run():
        graph = studio.world()
        lora = {"lora_name": name, "strength_model": 1.0}
        graph.image_model = [
            graph.add("LoraLoaderModelOnly", model=graph.image_model, **lora), 0
        ]  # fmt: skip
        return studio.run(graph, candidates=1)

    first = run()
    assert run().folder == first.folder
    assert name in json.loads((first.folder / "recipe.json").read_text())["loaded"]
    os.utime(file, (1, 1))
    assert run().folder != first.folder


def test_an_interrupted_run_keeps_what_is_done_and_goes_on(studio):
    steps = 60

    def stop_in_the_second(event: Event) -> None:
        if event.kind == "progress" and event.value > steps:
            studio.client.interrupt(event.data["prompt_id"])

    graph = studio.world()
    node = studio.generator(graph, steps=steps)
    graph.add("PreviewImage", images=[node, 0])
    with pytest.raises(InterruptedRunError):
        studio.client.run(graph.graph, on_event=stop_in_the_second)
    (folder,) = (studio.output / "fvg" / "anchors").glob(f"*{studio.name[:20]}*")
    kept = ages(folder)
    assert "seed-5.png" in kept
    assert len(kept) < 3
    drawn = studio.run(steps=steps)
    assert drawn.folder == folder
    assert len(drawn.images) == 3
    assert ages(folder).items() >= kept.items()


def test_64_candidates(studio):
    drawn = studio.run(candidates=64, steps=1, cfg=1.0, batch=32)
    assert drawn.images.shape == (64, SIZE, SIZE, 3)
    assert len(set(drawn.files)) == 64


def test_each_candidate_is_shown_once_it_is_done(studio):
    graph = studio.world()
    node = studio.generator(graph)
    graph.add("PreviewImage", images=[node, 0])
    events: list[Event] = []
    files = studio.client.run(graph.graph, on_event=events.append).files(node)
    shown = [picture for e in events if (picture := preview(e.preview)) is not None]
    for file in files:
        drawn = pixels(studio.output / file.subfolder / file.filename)
        # The host scales previews up and writes them as JPEG; those of the way there are blurred.
        assert min(float((drawn - picture).abs().mean()) for picture in shown) < 4 * LEVEL


def preview(message: bytes) -> torch.Tensor | None:
    """The picture of a binary message; None for a text."""
    kind, length = struct.unpack(">II", message[:8].rjust(8, b"\0"))
    if kind not in (1, 4):
        return None
    start = 8 if kind == 1 else 8 + length  # behind a format, or behind JSON
    picture = Image.open(io.BytesIO(message[start:])).convert("RGB")
    resized = picture.resize((SIZE, SIZE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(resized, dtype=np.float32) / 255)


def test_a_hostile_prompt_names_a_folder_like_any_other(studio):
    studio.prompt = f"../../..\\ {studio.name}\0/etc/passwd:*?<>|\n%2e%2e" + "x" * 300
    drawn = studio.run(candidates=1)
    assert drawn.folder.parent == studio.output / "fvg" / "anchors"
    assert len(drawn.folder.name) < 80


@pytest.fixture
def keeping(comfy) -> Iterator[ComfyServer]:
    """The server, started anew so that it keeps what it made for earlier settings; and started
    anew again. By default that depends on how much memory is free."""
    usual = comfy.extra_args
    for args in ((*usual, "--cache-lru", "50"), usual):
        comfy.stop()
        comfy.extra_args = args
        comfy._start()
        if args is not usual:
            yield comfy


def test_a_host_that_keeps_more_does_not_hand_it_out_either(studio, keeping):
    with ComfyClient(keeping.url) as studio.client:
        graph = studio.world(counted=False)
        node = studio.generator(graph)
        graph.add("PreviewImage", images=[node, 0])

        def run(steps: int) -> Result:
            graph.graph[node]["inputs"]["steps"] = steps
            return studio.client.run(graph.graph)

        file = run(1).files(node)[0]
        run(2)
        assert node in run(1).cached
        run(2)
        (studio.output / file.subfolder / file.filename).unlink()
        assert node not in run(1).cached
        assert (studio.output / file.subfolder / file.filename).exists()


def test_candidates_of_before_a_restart_are_found(studio, comfy):
    """Last in this file: the server that the others share starts anew."""
    first = studio.run()
    comfy.stop()
    comfy._start()
    with ComfyClient(comfy.url) as client:
        studio.client = client
        again = studio.run()
    assert studio.asked() == 1
    assert torch.equal(again.images, first.images)
