"""The installer, with packages of a few bytes from a folder instead of an index."""

import dataclasses
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from dev.host import PACK
from dev.install import Layout, Pins, managed_install, unpack
from fvg_core.errors import HostError

pytestmark = pytest.mark.timeout(300)

# A build backend inside the archive, so that nothing has to be fetched to read it.
BACKEND = """
from pathlib import Path
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = Path(folder) / "probe_host-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: probe-host\\nVersion: 1.0\\n")
    return info.name
def build_wheel(*arguments, **more): raise NotImplementedError
def build_sdist(*arguments, **more): raise NotImplementedError
"""
BUILD = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
COMFY = {
    "vendor/ComfyUI/main.py": "",
    "vendor/ComfyUI/folder_paths.py": "",
    "vendor/ComfyUI/comfyui_version.py": '__version__ = "0.30.0"\n',
    "vendor/ComfyUI/requirements.txt": "probe-b  # a comment\n",
    "elsewhere/secret.py": "",
}


def wheel(folder: Path, name: str, version: str = "1.0") -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        f"{name.replace('-', '_')}.py": "",
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{stem}.dist-info/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def sdist(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "probe_host-1.0.tar.gz"
    extra = {"backend.py": BACKEND, "pyproject.toml": BUILD}
    extra["PKG-INFO"] = "Metadata-Version: 2.1\nName: probe-host\nVersion: 1.0\n"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {**files, **extra}.items():
            info = tarfile.TarInfo(f"probe_host-1.0/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that pip is told to use instead of any index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("probe-a", "probe-b", "probe-c", "probe-dev"):
        wheel(folder, name)
    sdist(folder, COMFY)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def layout(index: Path, tmp_path: Path) -> Layout:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "requirements.txt").write_text("# ours\nprobe-c>=0.5\n")
    (root / "pyproject.toml").write_text(
        '[project.optional-dependencies]\ndev = [\n  "probe-dev>=1",\n]\n'
    )
    archive = next(index.glob("*.tar.gz"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return Layout(root, Pins(("probe-a==1.0",), "probe-host==1.0", digest, needed_bytes=1))


def packages(layout: Layout) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    listed = subprocess.run(
        [str(layout.python), "-c", code], capture_output=True, text=True, check=True
    )
    return {name for name in listed.stdout.split() if name.startswith("probe")}


def test_fresh_then_nothing_to_do(layout: Layout, index: Path) -> None:
    install = managed_install(layout=layout)
    assert (install.version, install.managed) == ((0, 30, 0), True)
    assert packages(layout) == {"probe-a", "probe-b", "probe-c"}
    assert sorted(p.name for p in layout.host.iterdir()) == [
        "comfyui_version.py",
        "folder_paths.py",
        "main.py",
        "requirements.txt",
    ]
    assert not layout.unfinished.exists()
    for path in index.iterdir():  # offline from here on
        path.unlink()
    before = {path: path.lstat().st_mtime_ns for path in layout.root.rglob("*")}
    assert managed_install(layout=layout) == install
    assert {path: path.lstat().st_mtime_ns for path in layout.root.rglob("*")} == before


def test_dev_extra_is_added_to_what_is_there(layout: Layout) -> None:
    managed_install(layout=layout)
    managed_install(dev=True, layout=layout)
    assert "probe-dev" in packages(layout)
    before = layout.log.read_text()
    managed_install(layout=layout)
    managed_install(dev=True, layout=layout)
    assert layout.log.read_text() == before


def test_changed_pin_is_installed(layout: Layout, index: Path) -> None:
    managed_install(layout=layout)
    wheel(index, "probe-a", "2.0")
    pins = dataclasses.replace(layout.pins, packages=("probe-a==2.0",))
    managed_install(layout=dataclasses.replace(layout, pins=pins))
    code = "import importlib.metadata as m; print(m.version('probe-a'))"
    found = subprocess.run([str(layout.python), "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "2.0"


def test_environment_that_is_complete_is_adopted(layout: Layout) -> None:
    managed_install(layout=layout)
    layout.stamp.unlink()
    marker = layout.venv / "marker"
    marker.touch()
    managed_install(layout=layout)
    assert marker.exists()
    assert layout.stamp.exists()


KILLED = """
import sys
from pathlib import Path
from dev.install import Layout, Pins, managed_install
root, digest = Path(sys.argv[1]), sys.argv[2]
pins = Pins(("probe-a==1.0",), "probe-host==1.0", digest, needed_bytes=1)
managed_install(layout=Layout(root, pins))
"""


def test_killed_installation_starts_over(layout: Layout) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(layout.root), layout.pins.host_sha256],
        cwd=PACK,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not layout.python.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert layout.unfinished.exists()
    assert not layout.stamp.exists()
    torn = layout.venv / "torn"
    torn.touch()
    managed_install(layout=layout)
    assert not torn.exists()
    assert packages(layout) == {"probe-a", "probe-b", "probe-c"}


def test_altered_archive_is_refused(layout: Layout, index: Path) -> None:
    sdist(index, COMFY | {"vendor/ComfyUI/main.py": "print('altered')"})
    with pytest.raises(HostError, match=r"sha256.*Nothing was unpacked"):
        managed_install(layout=layout)
    assert not layout.host.exists()
    assert not layout.stamp.exists()


def test_archive_cannot_write_outside(tmp_path: Path) -> None:
    archive = sdist(tmp_path, COMFY | {"vendor/ComfyUI/../../../escaped.py": ""})
    with pytest.raises(HostError, match="unsafe path"):
        unpack(archive, "vendor/ComfyUI", tmp_path / "a" / "b" / "c")
    assert not list(tmp_path.rglob("escaped.py"))


def test_missing_package_is_explained(layout: Layout, index: Path) -> None:
    (index / "probe_c-1.0-py3-none-any.whl").unlink()
    with pytest.raises(HostError, match=r"(?s)pip failed.*no such package.*probe-c.*install\.log"):
        managed_install(layout=layout)
    assert not layout.stamp.exists()


def test_full_disk_is_said_before_anything_is_made(layout: Layout) -> None:
    pins = dataclasses.replace(layout.pins, needed_bytes=1e18)
    with pytest.raises(HostError, match="needs about 1000000000 GB"):
        managed_install(layout=dataclasses.replace(layout, pins=pins))
    assert not layout.venv.exists()


def test_old_python_is_told_what_to_do() -> None:
    code = (
        "import sys; sys.version_info = (3, 9, 2); sys.argv = ['dev', 'install'];"
        "import runpy; runpy.run_module('dev', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACK, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.10 or newer is needed, and this is 3.9.2" in done.stdout
