"""Prompt lists and seeds as people write them."""

from __future__ import annotations

import contextlib
import csv
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.bench.prompt_list import LARGEST_SEED, Entry, parse_seeds, read_entries
from fvg_core.errors import BatchError

HARD = [
    '=cmd|"/c calc"!A1',
    "@SUM(1,2)",
    "../../etc/passwd",
    "C:\\CON\\nul.txt",
    "🎈🎈 two balloons, 'quoted' and \"twice\"",
    "word " * 2000,
    "# a number sign",
]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.text(min_size=1).filter(lambda t: t.strip()), min_size=1, max_size=5))
def test_csv_and_jsonl_give_back_what_was_written(tmp_path_factory, prompts):
    folder = tmp_path_factory.mktemp("lists")
    prompts = [*prompts, *HARD]
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["prompt"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows({"prompt": prompt} for prompt in prompts)
    lines = [json.dumps({"prompt": prompt}) for prompt in prompts]
    (folder / "list.jsonl").write_text("\n".join(lines), encoding="utf-8")
    wanted = [prompt.strip() for prompt in prompts]
    assert [e.prompt for e in read_entries(folder / "list.csv")] == wanted
    assert [e.prompt for e in read_entries(folder / "list.jsonl")] == wanted


def test_text_is_one_prompt_a_line(tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa red circle\r\n\r\n  # a sign \nlast")
    found = list(read_entries(path))
    assert [(e.prompt, e.line) for e in found] == [
        ("a red circle", 1),
        ("# a sign", 3),
        ("last", 4),
    ]


def test_the_ending_says_how_a_list_is_read(tmp_path: Path):
    """Case does not count; what standard input is kept in has no ending."""
    for name in ("a.TXT", "stdin"):
        (tmp_path / name).write_text("one\n")
    (tmp_path / "c.ndjson").write_text('{"prompt": "one"}\n')
    (tmp_path / "d.csv").write_text("prompt,,\none,,\n")  # a spreadsheet's empty columns
    for path in tmp_path.iterdir():
        assert [entry.prompt for entry in read_entries(path)] == ["one"]


def test_a_row_may_change_seed_size_negative_anchor_and_widgets(tmp_path: Path):
    (tmp_path / "dog.png").write_bytes(b"png")
    path = tmp_path / "list.jsonl"
    row = {"prompt": "p", "seed": 3, "size": "832x480", "negative": "", "anchor": "dog.png"}
    path.write_text(json.dumps(row | {"set": {"Sampler.steps": 4}}))
    (found,) = read_entries(path)
    assert found == Entry("p", 1, 3, "", (832, 480), tmp_path / "dog.png", (("Sampler.steps", 4),))
    path = tmp_path / "list.csv"
    path.write_text("prompt,seed,width,height\na,5,64,32\nb,,,\n")
    assert [(e.seed, e.size) for e in read_entries(path)] == [(5, (64, 32)), (None, None)]


BAD = {
    "a.csv": ("text\nhello\n", "one of them 'prompt'"),
    "b.csv": ("prompt,seed\na, b, c\n", "line 2: not as many fields"),
    "c.csv": ("prompt,sed\na,1\n", "Did you mean 'seed'"),
    "d.csv": ("prompt,seed\na,-1\n", "seed is '-1'; expected a whole number"),
    "e.csv": ("prompt,width\na,64\n", "belong together"),
    "r.csv": ("prompt,seed,prompt\na,1,b\n", "names 'prompt' more than once"),
    "s.json": ('[{"prompt": "a"}]', "lists in .json are not read. Expected .txt"),
    "t.tsv": ("prompt\tseed\na\t1\n", "lists in .tsv are not read"),
    "u.ndjson": ("[1]\n", "line 1: expected an object"),
    "f.jsonl": ('{"prompt": "a"}\n[1]\n', "line 2: expected an object"),
    "g.jsonl": ("{prompt}\n", "line 1 is not JSON"),
    "h.jsonl": ('{"prompt": "  "}\n', "the prompt is empty"),
    "n.jsonl": ('{"prompt": "a \\ud800"}\n', "prompt holds half a character"),
    "o.jsonl": ('{"prompt": "a", "set": {"A.b": "\\ud83d"}}\n', "set holds half a character"),
    "p.jsonl": ('{"prompt": "a", "set": {"A.\\ud83d": 1}}\n', "set holds half a character"),
    "q.jsonl": ('{"prompt": "a", "set": {"A.b": ["\\ud83d"]}}\n', "set holds half a character"),
    "i.jsonl": ('{"prompt": 5}\n', "prompt must be text"),
    "j.jsonl": ('{"prompt": "a", "seed": true}\n', "seed is True"),
    "k.jsonl": ('{"prompt": "a", "size": "big"}\n', "for example 832x480"),
    "l.jsonl": ('{"prompt": "a", "anchor": "../../x.txt"}\n', "not a picture beside"),
    "m.jsonl": ('{"prompt": "a", "set": "x"}\n', '"set" must be an object'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_list_is_refused_by_line(tmp_path: Path, name: str):
    text, why = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(BatchError) as said:
        list(read_entries(tmp_path / name))
    assert why in str(said.value)


def test_what_is_not_text_is_refused(tmp_path: Path):
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BatchError, match="not UTF-8"):
        list(read_entries(tmp_path / "x.txt"))
    with pytest.raises(BatchError, match="cannot be read"):
        list(read_entries(tmp_path / "none.txt"))


def test_a_long_list_costs_no_memory(tmp_path: Path):
    path = tmp_path / "long.jsonl"
    with path.open("w") as out:
        out.writelines(json.dumps({"prompt": f"{i} " + "x" * 1000}) + "\n" for i in range(10_000))
    tracemalloc.start()
    assert sum(1 for _ in read_entries(path)) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000  # bytes; the file has ten million


def test_seeds():
    assert parse_seeds("0-4") == (0, 1, 2, 3, 4)
    assert parse_seeds(" 7 , 3-4,4") == (7, 3, 4)
    assert parse_seeds(str(LARGEST_SEED)) == (LARGEST_SEED,)


@pytest.mark.parametrize(
    "text", ["", "a", "4-0", "-1", "1,,2", "0-99999", str(2**64), "1.5", "0x1"]
)
def test_wrong_seeds(text: str):
    with pytest.raises(BatchError, match="not understood"):
        parse_seeds(text)


@given(st.text(max_size=20))
def test_seeds_are_read_or_refused(text: str):
    with contextlib.suppress(BatchError):
        assert all(0 <= seed <= LARGEST_SEED for seed in parse_seeds(text))
