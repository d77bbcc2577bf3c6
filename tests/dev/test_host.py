"""Finding, judging and linking an existing ComfyUI."""

import stat
import sys
from pathlib import Path

import pytest

from dev.host import (
    LINK_NAME,
    MINIMUM_VERSION,
    PACK,
    Install,
    existing_install,
    find_python,
    link_pack,
    read_version,
)
from fvg_core.errors import HostError


def comfy_folder(root: Path, version: str | None = "0.30.0") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in ("main.py", "folder_paths.py"):
        (root / name).write_text("")
    (root / "custom_nodes").mkdir(exist_ok=True)
    if version:
        (root / "comfyui_version.py").write_text(f'# made by a build\n__version__ = "{version}"\n')
    return root


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_version_is_read(tmp_path: Path) -> None:
    assert read_version(comfy_folder(tmp_path)) == (0, 30, 0)


def test_folder_without_main(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"not a ComfyUI folder.*main\.py"):
        existing_install(tmp_path, {})
    with pytest.raises(HostError, match="not a ComfyUI folder"):
        existing_install(tmp_path / "nowhere", {})


@pytest.mark.parametrize("version", ["0.3.10", "0.16.3", None])
def test_too_old_is_refused_with_both_versions(version: str | None, tmp_path: Path) -> None:
    root = comfy_folder(tmp_path / "old", version)
    needed = ".".join(map(str, MINIMUM_VERSION))
    with pytest.raises(HostError, match=f"{version or '0.0.0'}; FVG needs {needed}"):
        existing_install(root, {})
    assert not list((root / "custom_nodes").iterdir())


def test_newer_is_taken(tmp_path: Path) -> None:
    install = existing_install(comfy_folder(tmp_path, "1.2.3"), {})
    assert install.version == (1, 2, 3)
    assert not install.managed


@pytest.mark.parametrize("folder", ["venv", ".venv"])
def test_its_own_environment_is_preferred(folder: str, tmp_path: Path) -> None:
    python = program(tmp_path / folder / "bin" / "python")
    assert find_python(tmp_path, {}) == python


def test_named_python_beats_all(tmp_path: Path) -> None:
    program(tmp_path / "venv" / "bin" / "python")
    mine = program(tmp_path / "mine" / "python")
    assert find_python(tmp_path, {"COMFYUI_PYTHON": str(mine)}) == mine
    with pytest.raises(HostError, match="COMFYUI_PYTHON=/nowhere/python"):
        find_python(tmp_path, {"COMFYUI_PYTHON": "/nowhere/python"})


def test_embedded_python_beside_the_folder(tmp_path: Path) -> None:
    python = program(tmp_path / "python_embeded" / "python.exe")
    assert find_python(comfy_folder(tmp_path / "ComfyUI"), {}) == python


def test_this_python_when_it_has_none(tmp_path: Path) -> None:
    assert find_python(tmp_path, {}) == Path(sys.executable)


def test_python_without_torch_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.host.GPU_DEVICES", ("/dev/null",))  # as on a machine with a GPU
    install = Install(tmp_path, program(tmp_path / "python"), (0, 30, 0), managed=False)
    install.python.write_text("#!/bin/sh\necho 'No module named torch' >&2; exit 1\n")
    with pytest.raises(HostError, match=r"(?s)cannot import torch.*COMFYUI_PYTHON"):
        install.has_cuda()


def test_without_a_gpu_torch_is_not_even_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dev.host.GPU_DEVICES", ("/dev/no-such-gpu",))
    monkeypatch.setattr(sys, "platform", "linux")
    assert not Install(tmp_path, tmp_path / "no python", (0, 30, 0), managed=False).has_cuda()


class TestLink:
    @pytest.fixture
    def install(self, tmp_path: Path) -> Install:
        return existing_install(comfy_folder(tmp_path / "ComfyUI"), {})

    def test_link_is_made_once(self, install: Install) -> None:
        link = link_pack(install)
        assert link.resolve() == PACK
        assert link_pack(install) == link
        assert [entry.name for entry in link.parent.iterdir()] == [LINK_NAME]

    def test_checkout_that_is_there_already_is_enough(self, install: Install) -> None:
        other = install.root / "custom_nodes" / "my-fvg"
        other.symlink_to(PACK)
        assert link_pack(install) == other
        assert [entry.name for entry in other.parent.iterdir()] == ["my-fvg"]

    def test_stale_link_is_replaced(self, install: Install, tmp_path: Path) -> None:
        (install.root / "custom_nodes" / LINK_NAME).symlink_to(tmp_path / "gone")
        assert link_pack(install).resolve() == PACK

    def test_another_copy_is_not_touched(self, install: Install) -> None:
        copy = install.root / "custom_nodes" / LINK_NAME
        copy.mkdir()
        (copy / "theirs.txt").write_text("kept")
        with pytest.raises(HostError, match="another copy of this pack"):
            link_pack(install)
        assert (copy / "theirs.txt").read_text() == "kept"
