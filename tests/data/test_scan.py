"""Folders of clips: what is found, which caption belongs to it, and why other files are not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from clip_files import caption, grays, write_frames, write_video
from scans import scan

from fvg_core.data import stamp
from fvg_core.data.memo import Memo
from fvg_core.errors import DataError

FRAMES = 6
linux = pytest.mark.skipif(sys.platform != "linux", reason="names there are UTF-8, or UTF-16")


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> list[bytes]:
    """The bytes of different small videos."""
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_video(folder / f"{n}.mp4", grays(FRAMES + n, 32, 32)).read_bytes() for n in range(6)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "clips"
    made.mkdir()
    return made


def put(path: Path, content: bytes, text: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return caption(path, text) if text is not None else path


def table(path: Path, *rows: dict[str, str]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def captions(folder: Path) -> dict[str, str]:
    return {clip.name: clip.caption for clip in scan(folder).clips}


def reasons(folder: Path) -> dict[str, str]:
    return {rejected.path: rejected.reason for rejected in scan(folder).rejected}


def test_every_kind_of_clip_in_the_order_of_its_path(folder: Path):
    for suffix in (".webm", ".mov", ".mkv", ".gif", ".mp4"):
        path = write_video(folder / "b" / f"clip{suffix}", grays(9, 32, 32))
        caption(path, suffix)  # all of one stem, so of one caption: the last
    caption(write_frames(folder / "b.frames", grays(7, 32, 32)), "frames")
    caption(write_video(folder / "Z.mp4", grays(12, 32, 32)), "z")
    listing = scan(folder)
    assert [c.name for c in listing.clips] == [
        "Z.mp4", "b.frames", "b/clip.gif", "b/clip.mkv", "b/clip.mov", "b/clip.mp4", "b/clip.webm"
    ]  # fmt: skip
    assert {c.caption for c in listing.clips} == {"frames", ".mp4", "z"}
    assert not listing.rejected


def test_captions_beside_the_clips(folder: Path, originals):
    put(folder / "a.mp4", originals[0], "  a red\n  ball  ")
    put(folder / "deep" / "er" / "b.MP4", originals[1], "\ufeffZwei Bälle")
    assert captions(folder) == {"a.mp4": "a red ball", "deep/er/b.MP4": "Zwei Bälle"}


DIFFSYNTH = {"video": "a.mp4", "prompt": "from a table"}
LAYOUTS = {
    "DiffSynth csv": ("metadata.csv", "a.mp4", DIFFSYNTH),
    "DiffSynth jsonl": ("metadata.jsonl", "a.mp4", DIFFSYNTH),
    "DiffSynth json": ("metadata.json", "a.mp4", DIFFSYNTH),
    "Pusa": ("metadata.csv", "train/video_000001.mp4",
             {"file_name": "video_000001.mp4", "text": "from a table"}),
    "Hugging Face": ("metadata.jsonl", "train/x.mp4",
                     {"file_name": "train/x.mp4", "text": "from a table", "extra": 3}),
    "UltraVideo": ("short.csv", "clips_short/7a0fce1b-aff4.mp4",
                   {"clip_id": "7a0fce1b-aff4.mp4", "url": "BJRpaBau_QI", "fps": "23.97",
                    "Brief Description": "brief", "Detailed Description": "detailed",
                    "Summarized Description": "from a table"}),
    "UltraVideo long": ("long.csv", "clips_long_960/x/1.mp4",
                        {"clip_id": "1", "Detailed Description": "from a table",
                         "Brief Description": "brief", "Summarized Description": ""}),
    "Windows paths": ("metadata.csv", "train/x.mp4",
                      {"path": "train\\x.mp4", "caption": "from a table"}),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_metadata_of_known_layouts(folder: Path, originals, layout: str):
    name, clip, row = LAYOUTS[layout]
    put(folder / clip, originals[0])
    if name.endswith(".csv"):
        table(folder / name, row)
    else:
        text = json.dumps(row if name.endswith("l") else [row])
        (folder / name).write_text(f"\n{text}\n", encoding="utf-8-sig")
    assert captions(folder) == {clip: "from a table"}
    assert not reasons(folder)


def test_a_text_file_goes_before_the_metadata_unless_it_is_empty(folder: Path, originals):
    put(folder / "a.mp4", originals[0], "beside")
    put(folder / "b.mp4", originals[1], " \n")
    rows = [{"video": f"{n}.mp4", "prompt": f"table {n}"} for n in "ab"]
    table(folder / "metadata.csv", *rows)
    assert captions(folder) == {"a.mp4": "beside", "b.mp4": "table b"}


def test_every_reason(folder: Path, originals, tmp_path: Path):
    put(folder / "good.mp4", originals[0], "good")
    put(folder / "again.mp4", originals[0], "another caption")  # earlier in order than good
    put(folder / "broken.mp4", b"no video", "broken")
    put(folder / "no_text.mp4", originals[1])
    put(folder / "empty_text.mp4", originals[2], "\n")
    put(folder / "latin.mp4", originals[3]).with_suffix(".txt").write_bytes(b"caf\xe9")
    put(folder / "old.avi", b"RIFF", "old")
    put(folder / "empty_row.mp4", originals[4])
    write_frames(folder, grays(1, 32, 32), "thumbnail.png")
    table(folder / "metadata.csv", {"video": "empty_row.mp4", "prompt": ""})
    found = reasons(folder)
    assert {name: reason for name, reason in found.items() if name != "broken.mp4"} == {
        "good.mp4": "duplicate: the same content as again.mp4",
        "no_text.mp4": "no caption: neither a .txt of its name nor a row in a metadata file",
        "empty_text.mp4": "its caption is empty",
        "empty_row.mp4": "its caption is empty",
        "latin.mp4": "its caption latin.txt is not UTF-8 text",
        "old.avi": ".avi is not read; convert it to mp4, mkv, webm, mov or gif",
        ".": "1 pictures not read: the frames of a clip go into a folder of their own",
    }
    assert found["broken.mp4"].startswith("unreadable: ")
    assert [c.name for c in scan(folder).clips] == ["again.mp4"]


def test_rows_that_cannot_be_used(folder: Path, originals, tmp_path: Path):
    outside = put(tmp_path / "outside.mp4", originals[1], "outside")
    put(folder / "a.mp4", originals[0])
    put(folder / "x" / "same.mp4", originals[2], "x")
    put(folder / "y" / "same.mp4", originals[3], "y")
    (folder / "notes.md").write_text("not a clip")
    rows = [
        "a.mp4",
        "gone.mp4",
        "../outside.mp4",
        str(outside),
        "same.mp4",
        "notes.md",
        "",
        "a.mp4",
    ]
    table(
        folder / "metadata.csv", *({"video": f, "prompt": f"row {i}"} for i, f in enumerate(rows))
    )
    found = {path.removeprefix("metadata.csv, line "): why for path, why in reasons(folder).items()}
    assert captions(folder) == {"a.mp4": "row 0", "x/same.mp4": "x", "y/same.mp4": "y"}
    assert found == {
        "3": "gone.mp4 is missing, or is not a clip that can be read",
        "4": "../outside.mp4 leads out of the folder; move the clip into it",
        "5": f"{outside} leads out of the folder; move the clip into it",
        "6": "same.mp4 may be any of x/same.mp4, y/same.mp4; write the path",
        "7": "notes.md is missing, or is not a clip that can be read",
        "8": found["8"],
        "9": "a.mp4 is listed twice; the first caption is used",
    }
    assert found["8"].startswith("no file in any of the columns video, file_name, clip_id")


@pytest.mark.parametrize(
    ("name", "content", "path", "said"),
    [
        ("metadata.jsonl", b'{"video": "a.mp4"', "metadata.jsonl, line 1", "not an object"),
        ("metadata.jsonl", b'\n\n["a.mp4"]', "metadata.jsonl, line 3", "not an object"),
        ("metadata.jsonl", b'{"video": 3}', "metadata.jsonl, line 1", "no file in any"),
        ("metadata.json", b'{"video": "a.mp4"}', "metadata.json", "expected a list"),
        ("metadata.json", b"[", "metadata.json", "not a readable UTF-8 json file"),
        ("metadata.csv", b"video,prompt\na.mp4,caf\xe9", "metadata.csv", "not a readable UTF-8"),
        ("metadata.csv", b'video,prompt\n"a\0.mp4",x', "metadata.csv", "a"),
    ],
)
def test_metadata_that_cannot_be_read(folder, originals, name, content, path, said):
    put(folder / "b.mp4", originals[0], "b")
    (folder / name).write_bytes(content)
    (rejected,) = scan(folder).rejected
    assert rejected.path.startswith(path)
    assert said in rejected.reason
    assert captions(folder) == {"b.mp4": "b"}


@linux
def test_names_and_captions_that_are_not_utf8(folder: Path, originals):
    for n, name in enumerate((b"caf\xe9.mp4", b"d\xe9j\xe0/b.mp4", b"c.mp4", b"frames\xe9/1.png")):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        if path.suffix == ".png":
            caption(write_frames(path.parent, grays(5, 32, 32)), "frames")
        else:
            put(path, originals[n], "a caption")
    (folder / "c.txt").unlink()
    (folder / "metadata.json").write_text('[{"video": "c.mp4", "prompt": "a \\ud83d ball"}]')
    put(folder / "good.mp4", originals[4], "good")
    assert captions(folder) == {"good.mp4": "good"}
    name = "its name is not UTF-8; rename it"
    assert reasons(folder) == {
        "caf\udce9.mp4": name,
        "d\udce9j\udce0/b.mp4": name,
        "frames\udce9": name,
        "c.mp4": "its caption holds half a character (a lone surrogate); mend it",
    }


def test_links_that_leave_the_folder(folder: Path, originals, tmp_path: Path):
    outside = put(tmp_path / "secret" / "a.mp4", originals[0], "outside")
    put(folder / "b.mp4", originals[1], "b")
    caption(folder / "link.mp4", "link")
    (folder / "link.mp4").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    frames = write_frames(folder / "frames", grays(5, 32, 32))
    caption(frames, "frames")
    write_frames(tmp_path / "secret", grays(1, 32, 32), "9.png")
    (frames / "9.png").symlink_to(tmp_path / "secret" / "9.png")
    assert captions(folder) == {"b.mp4": "b"}
    assert reasons(folder) == dict.fromkeys(
        ["link.mp4", "linked", "frames/9.png"], "a link that leaves the folder"
    )


def test_a_link_inside_the_folder_is_a_copy(folder: Path, originals):
    put(folder / "a.mp4", originals[0], "a")
    (folder / "b.mp4").symlink_to(folder / "a.mp4")
    caption(folder / "b.mp4", "b")
    assert reasons(folder) == {"b.mp4": "duplicate: the same content as a.mp4"}


def test_hidden_files_are_no_clips(folder: Path, originals):
    put(folder / "a.mp4", originals[0], "a")
    put(folder / "._a.mp4", b"left by another system", "a")
    put(folder / ".cache" / "b.mp4", originals[1], "b")
    assert captions(folder) == {"a.mp4": "a"}
    assert not reasons(folder)


def test_folders_without_clips(folder: Path):
    with pytest.raises(DataError, match="holds no clips"):
        scan(folder)
    with pytest.raises(DataError, match="there is no folder"):
        scan(folder / "gone")


def test_what_did_not_change_is_not_read_again(folder: Path, originals, tmp_path: Path):
    a, b = (put(folder / f"{n}.mp4", originals[i], n) for i, n in enumerate("ab"))
    caption(write_frames(folder / "c", grays(5, 32, 32)), "c")
    before = scan(folder, memo := Memo(tmp_path / "memo.json"))
    memo.save()
    stat = b.stat()
    b.write_bytes(b"x" * stat.st_size)  # same size and time: only reading would tell
    os.utime(b, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert scan(folder, Memo(tmp_path / "memo.json")) == before
    assert [r.path for r in scan(folder).rejected] == ["b.mp4"]
    put(a, originals[2])
    (folder / "c" / "0.png").unlink()
    after = scan(folder, Memo(tmp_path / "memo.json"))
    assert after.clips[0].facts.frames == FRAMES + 2
    assert after.clips[2].facts.frames == 4


def test_a_damaged_memo_is_made_again(folder: Path, originals, tmp_path: Path):
    a = put(folder / "a.mp4", originals[0], "a")
    before = scan(folder)
    for content in ("{", "[3]", json.dumps({a.as_posix(): ["x", {}]}), json.dumps({"a": 1})):
        (tmp_path / "memo.json").write_text(content)
        assert scan(folder, Memo(tmp_path / "memo.json")) == before


def test_the_stamp_changes_with_the_files(folder: Path, originals):
    stamps = [stamp(folder)]
    put(folder / "a.mp4", originals[0], "a")
    stamps.append(stamp(folder))
    caption(folder / "a.mp4", "another")
    stamps.append(stamp(folder))
    shutil.move(folder / "a.mp4", folder / "b.mp4")
    stamps.append(stamp(folder))
    assert len(set(stamps)) == 4
    assert stamp(folder) == stamps[-1]
