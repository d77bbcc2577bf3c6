"""Anchors before videos, and pictures of an earlier batch."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from batch_parts import api_prompt, template
from PIL import Image

from fvg_core.bench.anchors import Pictures, read_choices
from fvg_core.bench.batch import Request
from fvg_core.bench.contact_sheet import write_contact_sheet
from fvg_core.bench.phases import (
    ANCHORS,
    DRAWINGS,
    VIDEOS,
    ends_at_picker,
    ends_at_rewriter,
    homes,
)
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.results import Result
from fvg_core.bench.runner import named_files, recipe
from fvg_core.bench.store import Kept, Store
from fvg_core.bench.template import Work
from fvg_core.errors import BatchError

EVIL = '<script>document.title = "broken"</script> "a dog" & \'two\' cats'


def draw(out: Path, count: int = 2) -> list[str]:
    """Anchors of two prompts, `count` pictures each, as a batch leaves them; their keys."""

    async def content(color: tuple[int, int, int]):
        png = io.BytesIO()
        Image.new("RGB", (64, 32), color).save(png, "PNG")
        yield png.getvalue()

    keys = []
    with Store(out / ANCHORS) as store:
        for i, prompt in enumerate(("a dog", EVIL)):
            key = str(i) * 64
            parts = [
                asyncio.run(store.download(content((90 * i, 90 * n, 0)), f"{i}-{n}.png"))
                for n in range(count)
            ]
            store.keep(key, parts, {"prompt": prompt, "seed": i})
            keys.append(key)
    return keys


def test_the_first_phase_is_the_graph_up_to_the_picker(tmp_path: Path):
    work = template(tmp_path).work(Entry("p", targets=("video/1.mp4",)), 1)
    part = ends_at_picker(work)
    assert set(part.prompt) == {"5", "8", "9"}
    assert part.prompt["9"] == {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    assert part.key != work.key
    assert part.entry.targets == ()
    assert part.prompt["8"] == work.prompt["8"]
    other = template(tmp_path, [("Anchored Wan Sampler.steps", "3")]).work(Entry("p"), 1)
    assert ends_at_picker(other).key == part.key  # other videos, same anchors
    plain = {n: node for n, node in api_prompt().items() if n == "12"}
    assert ends_at_picker(replace(work, prompt=plain)) is None
    assert template(tmp_path).draws


def test_rewrites_come_first_where_a_language_model_writes(tmp_path: Path):
    asked = replace(template(tmp_path).work(Entry("p"), 1), prompt=api_prompt())
    asked.prompt["5"]["inputs"] |= {"backend": "clip", "clip": ["4", 0]}
    asked.prompt["4"] = {"class_type": "CLIPLoader", "inputs": {}}
    part = ends_at_rewriter(asked)
    assert set(part.prompt) == {"4", "5", "5 text"}
    assert part.prompt["5"] == asked.prompt["5"]
    said = Result("id", {"5": {"text": ["?"]}, "5 text": {"text": ["a dog", "a cat"]}}, set(), 1)
    ((text, name),) = named_files(part, said)
    assert (text, name[-4:]) == ("a dog\n\na cat\n", ".txt")
    asked.prompt["5"]["inputs"]["backend"] = "rules"
    assert ends_at_rewriter(asked) is None  # there is no model to load


def test_a_video_is_made_where_its_anchor_was_drawn(tmp_path: Path):
    works = [template(tmp_path).work(Entry(text), 1) for text in ("a dog", "a cat", "a bird")]
    with Store(tmp_path / DRAWINGS.folder) as store:
        for work, server in zip(works, ("http://one", "http://two"), strict=False):
            store.keep(ends_at_picker(work).key, [], {"server": server})
    home = homes(tmp_path, VIDEOS)
    assert [home(work) for work in works] == ["http://one", "http://two", None]
    assert homes(tmp_path, DRAWINGS)(works[0]) is None


def test_the_first_picture_goes_on_unless_someone_chose(tmp_path: Path):
    _, two = draw(tmp_path)
    first = Pictures(tmp_path)
    assert first.give(Entry("a dog"), 0).anchor == tmp_path / "anchors" / "0-0.png"
    own = Entry("a dog", anchor=tmp_path / "own.png")
    assert first.give(own, 0) is own
    with pytest.raises(BatchError, match="no anchor for 'a cat' with seed 0"):
        first.give(Entry("a cat"), 0)
    chosen = Pictures(tmp_path, {two: 1})
    assert chosen.give(Entry(EVIL), 1).anchor == tmp_path / "anchors" / "1-1.png"
    assert chosen.give(Entry("a dog"), 0) is None
    for wrong in ({two: 2}, {"f" * 64: 0}):
        with pytest.raises(BatchError, match="Choose again"):
            Pictures(tmp_path, wrong)
    with pytest.raises(BatchError, match="holds no anchors"):
        Pictures(tmp_path / "elsewhere")


def draw_lines(out: Path, lines: list[tuple[Entry, str]]) -> None:
    """Anchors of these lines with seed 1, named by the keys of their works."""
    with Store(out / ANCHORS) as store:
        for entry, key in lines:
            (out / "none").touch()
            part = (out / "none", Kept(f"{key}.png", "", 0))
            store.keep(key, [part], recipe(Work(key, entry, 1, {}, None)))


WIDE, TALL = Entry("a cat", size=(832, 480)), Entry("a cat", size=(480, 832))
DARK = Entry("a cat", size=(832, 480), negative="light")


def given(pictures: Pictures, *entries: Entry) -> list[str | None]:
    """The names of their pictures."""
    found = [pictures.give(entry, 1) for entry in entries]
    return [one and one.anchor.stem for one in found]


def test_lines_of_other_sizes_and_negatives_have_pictures_of_their_own(tmp_path: Path):
    draw_lines(tmp_path, [(WIDE, "wide"), (TALL, "tall"), (DARK, "dark")])
    assert given(Pictures(tmp_path), WIDE, TALL, DARK) == ["wide", "tall", "dark"]
    assert given(Pictures(tmp_path, {"wide": 0}), WIDE, TALL, DARK) == ["wide", None, None]
    new = Entry("a cat", size=(64, 64))  # was not in the list then
    assert given(Pictures(tmp_path, {"wide": 0}), new, Entry("a cat")) == [None, None]
    with pytest.raises(BatchError, match="no anchor for 'a cat' with seed 1 and the size of"):
        given(Pictures(tmp_path), new)


def test_what_is_for_the_video_alone_may_be_another(tmp_path: Path):
    """Of lines that have their candidates in common the manifest has one."""
    draw_lines(tmp_path, [(WIDE, "wide"), (TALL, "tall")])
    steps = (("Anchored Wan Sampler.steps", 4),)
    others = [replace(one, settings=steps, negative="light") for one in (WIDE, TALL)]
    assert given(Pictures(tmp_path), *others) == ["wide", "tall"]
    assert given(Pictures(tmp_path, {"wide": 0}), *others) == ["wide", None]


def test_of_lines_that_differ_in_set_alone_each_has_its_own_picture_or_none_is_guessed(tmp_path):
    few, many = (replace(WIDE, settings=(("Anchor Image Generator.steps", n),)) for n in (4, 8))
    draw_lines(tmp_path, [(few, "few"), (many, "many")])
    assert given(Pictures(tmp_path), few, many) == ["few", "many"]
    assert given(Pictures(tmp_path, {"many": 0}), few, many) == [None, "many"]
    assert given(Pictures(tmp_path, {"many": 0}), WIDE) == ["many"]  # by another template, say
    for choices in (None, {"few": 0, "many": 0}):
        with pytest.raises(BatchError, match=r"2 drawings for 'a cat' with seed 1.*one of them"):
            given(Pictures(tmp_path, choices), WIDE)


def test_a_list_that_was_drawn_twice_needs_choices(tmp_path: Path):
    draw_lines(tmp_path, [(WIDE, "first"), (WIDE, "second")])
    assert given(Pictures(tmp_path, {"first": 0}), WIDE) == ["first"]
    for choices in (None, {"first": 0, "second": 0}):
        with pytest.raises(BatchError, match=r"2 drawings .* nothing in its line tells which"):
            given(Pictures(tmp_path, choices), WIDE)


def test_a_manifest_that_does_not_say_sizes_is_taken(tmp_path: Path):
    draw(tmp_path)
    found = Pictures(tmp_path).give(Entry("a dog", size=(64, 32), negative="cats"), 0)
    assert found.anchor.name == "0-0.png"


def test_each_wording_has_anchors_and_a_choice_of_its_own(tmp_path: Path):
    prompt = "two dogs run"
    with Store(tmp_path / ANCHORS) as store:
        for variation in (0, 1):
            parts = [(tmp_path / "none", Kept(f"{variation}.png", "", 0))]
            parts[0][0].touch()
            line = {"prompt": prompt, "seed": None, "variation": variation}
            store.keep(f"{variation}" * 64, parts, line)
    own = Entry("mine", anchor=tmp_path / "own.png")
    request = Request(lambda: iter([Entry(prompt), own]), Path("t"), tmp_path, (), variations=2)
    assert [entry.variation for entry, _ in request.each()] == [0, 1, 0]
    chosen = replace(request, pictures=Pictures(tmp_path, {"1" * 64: 0}))
    (entry, _), _ = chosen.each()
    assert (entry.variation, entry.anchor.name) == (1, "1.png")
    page = write_rows(tmp_path)
    assert page.count("<legend>two dogs run</legend>") == 1
    assert page.count("<small>wording 1</small></legend>") == 1


def write_rows(out: Path) -> str:
    for name in ("0.png", "1.png"):
        Image.new("RGB", (8, 8)).save(out / ANCHORS / name)
    return write_contact_sheet(out / ANCHORS).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": "1"}', '{"a": -1}', '{"a": true}'])
def test_files_that_hold_no_choices(tmp_path: Path, text: str):
    path = tmp_path / "choices.json"
    path.write_text(text)
    with pytest.raises(BatchError, match="choices"):
        read_choices(path)


def test_the_contact_sheet_needs_no_other_file(tmp_path: Path):
    draw(tmp_path)
    page = write_contact_sheet(tmp_path / ANCHORS).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 4
    assert "http" not in page
    assert "&lt;script&gt;document.title" in page
    (tmp_path / ANCHORS / "0-0.png").write_bytes(b"no picture")
    with pytest.raises(BatchError, match="not a picture"):
        write_contact_sheet(tmp_path / ANCHORS)
