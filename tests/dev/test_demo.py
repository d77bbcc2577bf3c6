"""`make demo` whole, in a copy of ComfyUI that stands for the user's own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dev.demo import Request, default_out
from dev.host import LINK_NAME, PACK, Install
from dev.serve import wanted_port
from fvg_core.bench.video import read_frames
from fvg_core.errors import HostError

PROMPT = "a yellow square moves left on a brown background"


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything below `root` but our link."""
    found = {}
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in [*folders, *files]):
            stat = path.lstat()
            if path.name != LINK_NAME:
                about = (stat.st_size, stat.st_mtime_ns) if path.is_file() else (0, 0)
                found[str(path.relative_to(root))] = about
    return found


@pytest.fixture(scope="module")
def theirs(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("user") / "ComfyUI"
    ignore = shutil.ignore_patterns("__pycache__", LINK_NAME, "tests", "tests-unit", ".git")
    shutil.copytree(install.root, root, ignore=ignore)
    return root


def demo(theirs: Path, python: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {"COMFYUI": str(theirs), "COMFYUI_PYTHON": str(python)}
    return subprocess.run(
        [sys.executable, "-m", "dev", "demo"],
        cwd=PACK,
        env={**os.environ, **own, **environ},
        capture_output=True,
        text=True,
        timeout=500,
    )


def servers(root: Path) -> list[str]:
    """Processes that run the ComfyUI at `root`."""
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return [line for line in lines.splitlines() if str(root / "main.py") in line]


@pytest.mark.host
@pytest.mark.timeout(600)
def test_demo_leaves_its_files_and_nothing_else(
    theirs: Path, install: Install, tmp_path: Path
) -> None:
    before, out = tree(theirs), tmp_path / "out"
    done = demo(theirs, install.python, PROMPT=PROMPT, SEED="5", OUT=str(out))
    assert done.returncode == 0, done.stderr
    names = ["fvg.mp4", "plain.mp4", "sheet.png", "recipe.json"]
    assert done.stdout.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert tree(theirs) == before
    assert servers(theirs) == []

    own, plain = (read_frames(out / name) for name in names[:2])
    assert len(own) == len(plain) == 17
    assert own[-1].tobytes() != plain[-1].tobytes()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 1000
    recipe = json.loads((out / "recipe.json").read_text())
    assert (recipe["prompt"], recipe["seed"], recipe["chosen"]) == (PROMPT, 5, 0)
    assert recipe["candidate_seeds"] == [str(seed) for seed in range(5, 13)]
    assert "yellow square" in recipe["first_frame_prompt"]
    assert recipe["note"] == ""
    assert recipe["pack"]["weights"]
    # The graph travels in the file, with the prompt that made it.
    assert re.search(rb'"type": ?"FVGAnchorLatentInjector"', (out / "fvg.mp4").read_bytes())
    assert PROMPT.encode() in (out / "fvg.mp4").read_bytes()


@pytest.mark.host
@pytest.mark.timeout(600)
def test_a_word_beyond_the_tiny_world_is_said(
    theirs: Path, install: Install, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = demo(theirs, install.python, PROMPT="a red teapot moves right", OUT=str(out))
    assert done.returncode == 0, done.stderr
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["note"].startswith("No scores: the tiny world does not know 'a red teapot'")
    assert f"The first candidate was taken. {recipe['note']}" in done.stderr
    assert recipe["chosen"] == 0


@pytest.mark.host
@pytest.mark.timeout(600)
def test_bad_prompt_writes_nothing(theirs: Path, install: Install, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = demo(theirs, install.python, PROMPT="word " * 10_000, OUT=str(out))
    assert done.returncode == 1
    assert "error: FVGFirstFramePromptRewriter (node" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert servers(theirs) == []


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", str(2**64)])
def test_bad_seed(seed: str) -> None:
    with pytest.raises(HostError, match="is not a seed"):
        Request.from_environment({"SEED": seed})


def test_nothing_asked_takes_the_template() -> None:
    assert Request.from_environment({"PROMPT": "", "SEED": "", "OUT": ""}) == Request(None, 7, None)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red circle!", "demo-a-red-circle-7"),
        ("../../etc/passwd", "demo-etc-passwd-7"),
        ("数", "demo-prompt-7"),
        ("word " * 100, "demo-" + "-".join(["word"] * 10)[:48].strip("-") + "-7"),
    ],
)
def test_folder_is_named_after_the_prompt(prompt: str, name: str) -> None:
    assert default_out(prompt, 7) == PACK / "out" / name


@pytest.mark.parametrize("port", ["0", "x", "70000"])
def test_bad_port(port: str) -> None:
    with pytest.raises(HostError, match="is not a port"):
        wanted_port(port)
