"""Names and folders as the benchmarks' own pages give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvg_core.bench.suites import VBENCH, VBENCH2, suite_entries
from fvg_core.categories import CATEGORIES
from fvg_core.errors import BatchError

LONG = "a very long prompt " * 20


def write(folder: Path, names: dict[str, str]) -> Path:
    for name, text in names.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def compbench(folder: Path) -> Path:
    files = (
        "1_consistent_attr",
        "2_dynamic_attr",
        "3_spatial_relationship",
        "4_motion_binding",
        "5_action_binding",
        "6_interaction",
        "7_numeracy",
    )
    return write(folder, {name: f"first of {name}\nsecond\n" for name in files})


def test_t2v_compbench(tmp_path: Path):
    found = list(suite_entries("t2v-compbench", compbench(tmp_path)))
    assert len(found) == 14
    assert {e.targets[0] for e in found} == {
        f"video/{category}/000{n}.mp4" for category in CATEGORIES for n in (1, 2)
    }
    by_target = {e.targets[0]: e for e in found}
    assert by_target["video/generative_numeracy/0001.mp4"].prompt == "first of 7_numeracy"
    assert by_target["video/spatial_relationships/0002.mp4"].prompt == "second"
    assert {e.seed for e in found} == {None}  # one seed for the whole tree


def test_vbench2(tmp_path: Path):
    write(tmp_path, dict.fromkeys(VBENCH2, "Garden, zoom in.\n"))
    write(tmp_path, {"Complex_Plot": LONG})
    found = list(suite_entries("vbench2", tmp_path))
    assert len(found) == 17 * 3 + 20
    targets = [e.targets[0] for e in found]
    assert targets[:3] == [
        f"vbench2_videos/Camera_Motion/Garden, zoom in.-{i}.mp4" for i in (0, 1, 2)
    ]
    assert "vbench2_videos/Diversity/Garden, zoom in.-19.mp4" in targets
    assert f"vbench2_videos/Complex_Plot/{LONG.strip()[:180]}-2.mp4" in targets
    assert {e.seed for e in found} == set(range(20))
    assert {e.prompt for e in found} == {"Garden, zoom in.", LONG.strip()}


def test_vbench(tmp_path: Path):
    write(tmp_path, {name: f"{name}\nshared\n" for name in VBENCH})
    found = list(suite_entries("vbench", tmp_path))
    targets = {e.targets[0] for e in found}
    assert "vbench_videos/color-4.mp4" in targets
    assert "vbench_videos/color-5.mp4" not in targets
    assert "vbench_videos/temporal_flickering-24.mp4" in targets
    assert {f"vbench_videos/shared-{i}.mp4" for i in range(25)} <= targets
    assert len({(e.prompt, e.seed) for e in found}) == len(targets) == 10 * 5 + 25 + 25


def test_only_some_dimensions(tmp_path: Path):
    write(tmp_path, {"color": "a red dog"})
    assert len(list(suite_entries("vbench", tmp_path, ("color",)))) == 5
    with pytest.raises(BatchError, match=r"0 files appearance_style.txt; 1 is expected"):
        list(suite_entries("vbench", tmp_path))
    with pytest.raises(BatchError, match="has no 'colour'"):
        list(suite_entries("vbench", tmp_path, ("colour",)))
    with pytest.raises(BatchError, match="no suite 'evalcrafter'"):
        list(suite_entries("evalcrafter", tmp_path))


@pytest.mark.parametrize("prompt", ["../../x", "a\\b", "a\x07b", "é" * 200])
def test_a_prompt_that_cannot_be_a_name_is_refused(tmp_path: Path, prompt: str):
    write(tmp_path, {"color": prompt})
    with pytest.raises(BatchError, match="cannot be a file name"):
        list(suite_entries("vbench", tmp_path, ("color",)))


def test_prompts_of_one_name_are_refused(tmp_path: Path):
    write(tmp_path, {"Material": f"{LONG} one\n{LONG} two\n"})
    with pytest.raises(BatchError, match="two prompts would get the name"):
        list(suite_entries("vbench2", tmp_path, ("Material",)))
