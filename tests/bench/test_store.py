"""The folder of a batch: names, whole files, a manifest that survives being cut off."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.store import Store, file_name, finished_lines, read_id, safe_ending
from fvg_core.bench.template import Work
from fvg_core.errors import BatchError

HARD = [
    "../../etc/passwd",
    "CON",
    "nul.txt",
    "🎈",
    "a" * 10_000,
    "=cmd()",
    "C:\\x",
    "\x00\n",
    "...",
]


def work(prompt: str = "a dog", key: str = "0123456789abcdef" * 4, targets=()) -> Work:
    return Work(key, Entry(prompt, 1, targets=targets), 3, {}, None)


@given(st.text(max_size=200) | st.sampled_from(HARD), st.text(max_size=20))
def test_names_are_plain_on_any_system(prompt: str, served: str):
    name = file_name(work(prompt), served, 2)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,110}\.[a-z0-9]{1,8}", name)
    assert name.split(".")[0] not in {"con", "nul", "prn", "aux"}
    assert "0123456789" in name


def test_a_name_says_what_is_in_the_file():
    assert file_name(work("A Dog, running!"), "x_00001_.MP4") == "a-dog-running-s3-0123456789.mp4"
    assert file_name(work("\u00c9t\u00e9"), "x.png", 1) == "ete-s3-0123456789-1.png"
    assert safe_ending("x.mp4/../../y") == safe_ending("x") == ".bin"


async def bytes_of(*chunks: bytes):
    for chunk in chunks:
        yield chunk


def keep(store: Store, one: Work, content: bytes = b"video") -> None:
    name = file_name(one, "x.mp4")
    part = asyncio.run(store.download(bytes_of(content[:2], content[2:]), name))
    store.keep(one.key, [part], {"prompt": one.entry.prompt})


def test_finished_work_is_known_to_the_next_run(tmp_path: Path):
    with Store(tmp_path / "out") as store:
        asyncio.run(store.download(bytes_of(b"video"), "half-done.mp4"))
        assert not (store.root / "half-done.mp4").exists()  # no name before it is kept
        keep(store, work())
        own = store.id
    with Store(tmp_path / "out") as store:
        assert store.id == own == read_id(tmp_path / "out")
        (file,) = store.done[work().key]
        assert (store.root / file.name).read_bytes() == b"video"
    line = json.loads((tmp_path / "out" / "manifest.jsonl").read_text())
    digest = hashlib.sha256(b"video").hexdigest()
    assert line["files"] == [{"name": file.name, "sha256": digest, "bytes": 5}]


@settings(deadline=None, max_examples=15)
@given(cut=st.integers(1, 60))
def test_a_manifest_cut_off_anywhere_keeps_what_was_whole(tmp_path_factory, cut: int):
    root = tmp_path_factory.mktemp("cut")
    with Store(root) as store:
        keep(store, work("one", "1" * 64))
        keep(store, work("two", "2" * 64))
    whole = (root / "manifest.jsonl").read_bytes()
    (root / "manifest.jsonl").write_bytes(whole[:-cut])
    with Store(root) as store:
        assert set(store.done) == {"1" * 64}
        keep(store, work("two", "2" * 64))
    lines = (root / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"][0] for line in lines] == ["1", "2"]


def test_half_a_character_in_a_line_stays_what_it_is(tmp_path: Path):
    with Store(tmp_path) as store:
        store.set_aside({"key": "1", "error": "node said \ud83d 🎈"})
        store.keep("2", [], {"prompt": "\ud83d"})
    (line,) = finished_lines(store.manifest)
    assert line["prompt"] == "\ud83d"
    assert json.loads(store.failed.read_text(encoding="utf-8"))["error"] == "node said \ud83d 🎈"


def test_work_whose_file_is_gone_or_short_is_done_again(tmp_path: Path):
    with Store(tmp_path) as store:
        keep(store, work())
        (file,) = store.done[work().key]
    (tmp_path / file.name).write_bytes(b"vid")
    with Store(tmp_path) as store:
        assert not store.done
    (tmp_path / file.name).unlink()
    with Store(tmp_path) as store:
        assert not store.done


def test_a_broken_download_leaves_nothing(tmp_path: Path):
    async def breaks():
        yield b"half"
        raise OSError(28, "No space left on device")

    with Store(tmp_path) as store:
        with pytest.raises(BatchError, match="cannot be written: No space"):
            asyncio.run(store.download(breaks(), "x.mp4"))
        assert not list(tmp_path.rglob("*.fvg-part"))
    (tmp_path / "left.fvg-part").write_bytes(b"by a process that was killed")
    with Store(tmp_path):
        assert not list(tmp_path.rglob("*.fvg-part"))


def test_a_batch_in_a_folder_below_is_left_alone(tmp_path: Path):
    async def chunks():
        yield b"half"
        with Store(tmp_path):
            pass
        yield b"whole"

    with Store(tmp_path / "night") as store:
        part = asyncio.run(store.download(chunks(), "video/a/x.mp4"))
        store.keep("1", [part], {"prompt": "a dog"})
    assert (tmp_path / "night/video/a/x.mp4").read_bytes() == b"halfwhole"


def test_what_a_kill_leaves_of_a_file_for_a_folder_below_is_taken_away(tmp_path: Path):
    async def killed():
        yield b"half"
        (part,) = tmp_path.rglob("*.fvg-part")
        part.with_stem("left").write_bytes(part.read_bytes())  # as a kill leaves it
        yield b"whole"

    with Store(tmp_path) as store:
        asyncio.run(store.download(killed(), "video/a/x.mp4"))
    with Store(tmp_path):
        assert not list(tmp_path.rglob("*.fvg-part"))


def test_one_process_at_a_time(tmp_path: Path):
    with Store(tmp_path), pytest.raises(BatchError, match="Another batch"), Store(tmp_path):
        pass
    with Store(tmp_path):
        pass


def test_further_places_get_whole_copies(tmp_path: Path):
    with Store(tmp_path) as store:
        keep(store, work())
        store.copy_to(work().key, ("video/a/0001.mp4", "video/b/0001.mp4"))
        assert (tmp_path / "video/b/0001.mp4").read_bytes() == b"video"
        assert (tmp_path / "video/a/0001.mp4").read_bytes() == b"video"


def test_folders_that_are_no_batch(tmp_path: Path):
    with pytest.raises(BatchError, match="not the folder of a batch"):
        read_id(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("nonsense\n")
    with pytest.raises(BatchError, match="line 1 is not a line"), Store(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(BatchError, match="cannot be used"), Store(tmp_path / "file"):
        pass
