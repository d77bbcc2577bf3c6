"""The picker in a real server: it waits, it remembers, and it goes on."""

from __future__ import annotations

import io
import json
import re

import av
import numpy as np
import pytest
from PIL import Image

from dev.host import PACK
from fvg_core.bench.client import RunError
from fvg_core.bench.results import OutputFile
from tests.host.graphs import LENGTH
from tests.host.picking import COLORS, Picking, color_of

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

ONE_SCORE = '{"checklist": [], "candidates": [{"score": 0.5, "answers": []}]}'
PAGE = PACK / "js" / "docs" / "FVGAnchorPicker.md"


def test_without_a_choice_it_ends_silently_and_shows_the_candidates(client):
    graph = Picking()
    state = graph.state(client)
    assert state["waiting"] is True
    assert (state["count"], state["chosen"], state["choice"]) == (3, [], "")
    assert graph.picked(client) == []
    history = client.history(graph.result.prompt_id)
    assert history["status"]["status_str"] == "success"
    files = graph.result.files(graph.picker)
    assert [color_of(client.fetch(file)) for file in files] == [0, 1, 2]
    assert [file.filename for file in files] == state["full"]
    # Only ui of the picker: nothing after it ran.
    assert set(graph.result.outputs) == {graph.picker}


def test_the_choice_goes_on_and_is_not_asked_for_again(client):
    graph = Picking()
    key = graph.state(client)["key"]
    state = graph.set(choice=f"{key}: 2").state(client)
    assert (state["waiting"], state["chosen"]) == (False, [2])
    assert graph.picked(client) == [2]
    Picking().state(client)  # another workflow in between
    again = Picking(graph.seed, choice=f"{key}: 2").state(client)
    assert (again["key"], again["chosen"]) == (key, [2])


def test_several_picks_are_a_list(client):
    graph = Picking()
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 2, 0").state(client)
    assert graph.picked(client) == [2, 0]
    shown = [o["text"] for o in graph.result.outputs.values() if "text" in o]
    assert sorted(shown) == [["2", "0"], ["2, 0"]]


def test_several_picks_become_as_many_videos(client):
    graph = Picking()
    graph.world(lora=False)
    graph.inject(image=[graph.picker, 0])
    pictures = graph.add("VAEDecode", samples=graph.sample(steps=1), vae=graph.vae)
    video = graph.add("CreateVideo", images=[pictures, 0], fps=8.0)
    saved = graph.add(
        "SaveVideo", video=[video, 0], filename_prefix="several", format="mp4", codec="h264"
    )
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 2, 0").state(client)
    files = graph.result.files(saved)
    frames = [read_frames(client.fetch(file)) for file in files]
    assert [len(each) for each in frames] == [LENGTH, LENGTH]
    assert [nearest(each[0]) for each in frames] == [2, 0]


def read_frames(video: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def nearest(frame: np.ndarray) -> int:
    """The candidate of COLORS that a frame shows most of, after VAE and codec."""
    known = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in COLORS])
    return int(np.abs(known - frame.mean((0, 1))).sum(1).argmin())


def test_another_tab_knows_the_choice(client):
    graph = Picking()
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 1").state(client)
    # The same node in a page that was opened before, so with its choice still empty.
    state = graph.set(choice="").state(client)
    assert (state["waiting"], state["chosen"], state["choice"]) == (False, [1], f"{key}: 1")
    assert graph.picked(client) == [1]


def test_an_unchanged_run_makes_nothing_anew(client):
    graph = Picking()
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 1").state(client)
    graph.state(client)
    assert graph.save_node in graph.result.cached


def test_pictures_deleted_by_hand_are_shown_again(client, comfy):
    graph = Picking()
    first = graph.state(client)
    folder = comfy.output / "fvg" / "picker" / first["key"]
    for file in folder.iterdir():
        file.unlink()
    assert graph.state(client)["full"] == first["full"]
    assert sorted(file.name for file in folder.iterdir()) == first["full"]


def test_a_second_picker_of_the_same_candidates_asks_for_itself(client):
    graph = Picking()
    key = graph.state(client)["key"]
    inputs = graph.graph[graph.picker]["inputs"]
    other = graph.add("FVGAnchorPicker", **inputs)
    graph.set(choice=f"{key}: 1").state(client)
    assert graph.picked(client) == [1]
    graph.state(client)  # by now the choice is remembered, for the first
    second = graph.result.outputs[other]["fvg_picker"][0]
    assert (second["key"], second["waiting"]) == (key, True)
    # A duplicated node carries the choice in its widget.
    copied = graph.add("FVGAnchorPicker", **{**inputs, "choice": f"{key}: 1"})
    graph.state(client)
    assert graph.result.outputs[copied]["fvg_picker"][0]["chosen"] == [1]


def test_other_candidates_ask_anew_and_the_first_ones_do_not(client):
    graph = Picking()
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 1").state(client)
    graph.graph[graph.noise]["inputs"]["seed"] += 1
    changed = graph.state(client)
    assert changed["waiting"] is True
    assert changed["key"] != key
    graph.graph[graph.noise]["inputs"]["seed"] -= 1
    assert graph.state(client)["chosen"] == [1]


def test_the_picker_says_which_seeds_made_the_candidates(client):
    graph = Picking()
    assert graph.state(client)["seeds"] == {graph.noise: {"seed": graph.seed}}


@pytest.mark.parametrize(("policy", "chosen"), [("first", [0]), ("explicit", [1])])
def test_a_policy_needs_no_person(client, comfy, policy, chosen):
    graph = Picking(policy=policy, index=1)
    state = graph.state(client)
    assert (state["chosen"], state["waiting"], state["type"]) == (chosen, False, "temp")
    assert graph.picked(client) == chosen
    assert not list((comfy.output / "fvg" / "picker").glob(f"{state['key']}*"))


def test_the_best_score_is_taken(client):
    scores = {
        "checklist": ["Is it?"],
        "candidates": [{"score": s, "answers": [s > 0.3]} for s in (0.25, 0.75, 0.5)],
    }
    graph = Picking(policy="best score", scores=json.dumps(scores))
    state = graph.state(client)
    assert [s["score"] for s in state["scores"]] == [0.25, 0.75, 0.5]
    assert graph.picked(client) == [1]


def test_the_checklist_is_shown(client):
    report = {"checklist": [{"question": "Is there a red circle?", "entity": "red circle"}]}
    assert Picking(report=json.dumps(report)).state(client)["checklist"] == [
        "Is there a red circle?"
    ]
    for other in ("no json", '{"checklist": 3}', "[" * 100000):
        assert Picking(report=other).state(client)["checklist"] == []


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"policy": "best score"}, "connect an Anchor Scorer"),
        ({"policy": "explicit", "index": 3}, "candidate 3 was asked for, but there are 3"),
        ({"scores": "[1, 2]"}, "scores cannot be read"),
        ({"scores": ONE_SCORE}, "there are 1 scores for 3 candidates"),
        ({"scores": ONE_SCORE.replace("0.5", "NaN")}, "scores cannot be read"),
    ],
)
def test_bad_inputs_are_told(client, inputs, said):
    with pytest.raises(RunError, match=re.escape(said)):
        client.run(Picking(**inputs).graph)


def test_a_choice_that_does_not_exist_is_refused(client):
    graph = Picking()
    key = graph.state(client)["key"]
    with pytest.raises(RunError, match="candidate 7 was asked for, but there are 3; use 0 to 2"):
        client.run(graph.set(choice=f"{key}: 0, 7").graph)


HOSTILE = ["../../../etc/passwd: 1", "x" * 200_000, "aaaaaaaa: -1", "{}: 1", "a: 1;" * 50_000,
           f"{'f' * 16}: " + "9" * 5000]  # fmt: skip


@pytest.mark.parametrize("choice", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_choice_is_nobodys_choice(client, comfy, choice):
    outside = {p for p in comfy.base.rglob("*") if comfy.output not in p.parents}
    assert Picking(choice=choice).state(client)["waiting"] is True
    written = {p for p in comfy.base.rglob("*") if comfy.output not in p.parents} - outside
    assert not [p for p in written if comfy.temp not in p.parents and p != comfy.temp]


def test_a_damaged_memory_is_no_memory(client, comfy):
    graph = Picking()
    key = graph.state(client)["key"]
    graph.set(choice=f"{key}: 1").state(client)
    memory = comfy.output / "fvg" / "picker" / "choices.json"
    assert key in memory.read_text()
    memory.write_text('{"half')
    assert graph.set(choice="").state(client)["waiting"] is True


def test_sixty_four_candidates(client):
    graph = Picking()
    repeated = graph.add("RepeatImageBatch", image=graph.images, amount=22)
    batch = graph.add("ImageFromBatch", image=[repeated, 0], batch_index=0, length=64)
    state = graph.set(images=[batch, 0]).state(client)
    assert (state["count"], len(set(state["full"]))) == (64, 64)
    graph.set(choice=f"{state['key']}: 63").state(client)
    assert graph.picked(client) == [63 % 3]


def test_large_candidates_have_thumbnails(client):
    graph = Picking()
    large = graph.add("ImageScaleBy", image=graph.images, upscale_method="bilinear", scale_by=8.0)
    state = graph.set(images=[large, 0]).state(client)
    where = state["subfolder"], state["type"]
    files = [OutputFile("", name, *where) for name in (state["full"][0], state["thumbs"][0])]
    sizes = [Image.open(io.BytesIO(client.fetch(file))).size for file in files]
    assert sizes == [(512, 512), (320, 320)]


def test_lists_of_batches_stand_in_one_grid(client):
    graph = Picking()
    rebatch = graph.add("RebatchImages", images=graph.images, batch_size=2)
    state = graph.set(images=[rebatch, 0]).state(client)
    assert state["count"] == 3
    graph.set(choice=f"{state['key']}: 2").state(client)
    assert graph.picked(client) == [2]


def test_the_lines_of_the_help_page_run(client, comfy, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    graph = Picking()
    names = {"SERVER": comfy.url, "PICKER": graph.picker, "prompt": graph.graph}
    exec(block, names)  # the page's own text, as a reader would paste it
    assert names["waiting"]["waiting"] is True
    for outputs, colors in (("outputs", [1]), ("outputs_of_two", [0, 2])):
        saved = names[outputs][graph.save_node]["images"]
        files = [OutputFile("", **f) for f in saved]
        assert [color_of(client.fetch(f)) for f in files] == colors
