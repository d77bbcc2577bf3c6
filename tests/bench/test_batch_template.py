"""What a batch changes in a template, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batch_parts import INFO, api_prompt, template
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.bench.address import checked, parse_setting
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.template import Template, work_key
from fvg_core.bench.widgets import Spec
from fvg_core.errors import BatchError, HostError

SAMPLER = "Anchored Wan Sampler"


def test_an_entry_fills_the_graph(tmp_path: Path):
    base = template(tmp_path, [(f"{SAMPLER}.steps", "4"), ("Negative Prompt.text", "a=b")])
    entry = Entry("a dog", 1, None, "blurry", (32, 48), None, ((f"{SAMPLER}.cfg", 1),))
    work = base.work(entry, 11)
    inputs = {number: node["inputs"] for number, node in work.prompt.items()}
    assert inputs["5"] == {"prompt": "a dog", "seed": 0}
    assert (inputs["8"]["width"], inputs["8"]["height"], inputs["8"]["seed"]) == (32, 48, 11)
    assert inputs["9"]["policy"] == "first"  # nobody is there to click
    assert inputs["9"]["seed"] == 0
    assert inputs["12"]["text"] == "blurry"
    assert inputs["11"]["text"] == ["5", 1]
    assert (inputs["14"]["width"], inputs["14"]["height"]) == (32, 48)
    sampler = inputs["15"]
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (11, 4, 1.0)
    own = base.work(Entry("a dog", settings=((f"{SAMPLER}.seed", 99),)), 11).prompt
    assert own["15"]["inputs"]["seed"] == 99  # what a line says of one widget counts most
    untouched = base.work(Entry("a dog"), None).prompt
    assert untouched["12"]["inputs"]["text"] == "a=b"
    assert untouched["15"]["inputs"]["seed"] == 7


def test_equal_work_has_equal_keys_and_other_work_has_others(tmp_path: Path):
    base = template(tmp_path)
    one = base.work(Entry("a dog", 1), 1)
    assert base.work(Entry("a dog", 99), 1).key == one.key
    others = [base.work(Entry("a cat"), 1), base.work(Entry("a dog"), 2)]
    others.append(template(tmp_path, [(f"{SAMPLER}.steps", "4")]).work(Entry("a dog"), 1))
    assert len({one.key, *(work.key for work in others)}) == 4
    titled = api_prompt()
    titled["5"]["_meta"] = {"title": "Other"}
    assert work_key(titled) == work_key(api_prompt())


REFUSED = {
    "Anchored Wan Sampler.setps=4": "Nearest: 'Anchored Wan Sampler.steps'",
    "Anchored Wan Sampller.steps=4": "Nearest: 'Anchored Wan Sampler.steps'",
    "Anchored Wan Sampler.steps=four": "expected a whole number",
    "Anchored Wan Sampler.steps=0": "expected 1 to 100",
    "Anchored Wan Sampler.cfg=nan": "expected a number",
    "Anchored Wan Sampler.cfg=inf": "expected a number",
    "Anchored Wan Sampler.tiled=maybe": "expected true or false",
    "Anchor Picker.policy=frist": "Nearest: 'first'",
    "Video Prompt.text=x": "fed by another node",
    "CLIPTextEncode.text=x": "#11.text, #12.text",
    "Save Video.codec=h265": "Nearest: 'h264'",
    "Save Video.codec.quality=2": "expected 16 to 1024",
    "steps=4": 'Expected "Node title.widget=value"',
    "Anchored Wan Sampler.steps": "not understood",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_a_wrong_setting_is_refused_with_the_nearest_names(tmp_path: Path, setting: str):
    with pytest.raises(BatchError) as said:
        template(tmp_path, [parse_setting(setting)])
    assert REFUSED[setting] in str(said.value)


@pytest.mark.parametrize(
    "address", ["#15.steps", "FVGAnchoredWanSampler.steps", "anchored wan sampler.STEPS"]
)
def test_nodes_are_addressed_by_id_class_and_title(tmp_path: Path, address: str):
    work = template(tmp_path, [(address, "4")]).work(Entry("p"), None)
    assert work.prompt["15"]["inputs"]["steps"] == 4


def test_other_templates_say_where_the_prompt_belongs(tmp_path: Path):
    work = template(tmp_path, prompt_to="Negative Prompt.text").work(Entry("p"), None)
    assert work.prompt["12"]["inputs"]["text"] == "p"
    graph = {"12": api_prompt()["12"]}
    (tmp_path / "other.json").write_text(json.dumps(graph))
    with pytest.raises(BatchError, match="--prompt-to"):
        Template.load(tmp_path / "other.json", INFO)
    other = Template.load(tmp_path / "other.json", INFO, prompt_to="Negative Prompt.text")
    with pytest.raises(BatchError, match="no place for a seed"):
        other.edits(Entry("p"), 1)
    with pytest.raises(BatchError, match="no place for a size"):
        other.edits(Entry("p", size=(64, 64)), None)
    with pytest.raises(BatchError, match="one Anchor Latent Injector"):
        other.edits(Entry("p", anchor=tmp_path / "x.png"), None)


def test_another_wording_is_another_seed_of_the_rewriter(tmp_path: Path):
    plain = template(tmp_path, [("First-Frame Prompt Rewriter.seed", "7")])
    works = [plain.work(Entry("p", variation=i), 3) for i in range(3)]
    assert [work.prompt["5"]["inputs"]["seed"] for work in works] == [7, 8, 9]
    assert {work.prompt["15"]["inputs"]["seed"] for work in works} == {3}
    assert len({work.key for work in works}) == 3
    graph = {"12": api_prompt()["12"]}
    (tmp_path / "other.json").write_text(json.dumps(graph))
    other = Template.load(tmp_path / "other.json", INFO, prompt_to="Negative Prompt.text")
    with pytest.raises(BatchError, match="--variations needs"):
        other.edits(Entry("p", variation=1), None)


def test_a_given_picture_replaces_drawing_and_choosing(tmp_path: Path):
    picture = tmp_path / "mine.PNG"
    picture.write_bytes(b"a picture")
    work = template(tmp_path).work(Entry("p", anchor=picture), 1)
    ((name, path),) = work.uploads
    assert path == picture
    assert name.startswith("fvg-anchor-")
    assert name.endswith(".png")
    assert work.prompt["14"]["inputs"]["image"] == ["21", 0]
    assert work.prompt["21"]["inputs"]["image"] == name
    assert not {"8", "9"} & set(work.prompt)
    picture.write_bytes(b"another")
    assert template(tmp_path).work(Entry("p", anchor=picture), 1).key != work.key


def test_files_that_are_no_template(tmp_path: Path):
    for name, text, error, why in (
        ("a", "{", BatchError, "not JSON"),
        ("b", "[]", BatchError, "not a workflow"),
        ("c", '{"a": 1}', BatchError, "neither a saved workflow"),
        ("d", '{"1": {"class_type": "NoSuchNode"}}', HostError, "does not have NoSuchNode"),
        ("e", '{"nodes": [{"id": 1, "type": "NoSuchNode"}]}', HostError, "NoSuchNode"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(error, match=why):
            Template.load(tmp_path / name, INFO)
    with pytest.raises(BatchError, match="cannot be read"):
        Template.load(tmp_path / "none", INFO)


@given(st.text(), st.sampled_from(["INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"]))
def test_any_value_is_taken_or_refused(text: str, kind: str):
    spec = Spec(kind, {"min": 1, "max": 9}, ("a", "b") if kind == "COMBO" else ())
    try:
        value = checked(text, spec, "here")
    except BatchError:
        return
    json.loads(json.dumps(value, allow_nan=False))
    assert kind not in ("INT", "FLOAT") or 1 <= value <= 9


@given(st.text())
def test_any_setting_is_taken_or_refused(text: str):
    try:
        address, value = parse_setting(text)
    except BatchError:
        return
    assert text.strip().startswith(address)
    assert text.endswith(value)
