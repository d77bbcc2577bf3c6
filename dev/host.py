"""Find or install the ComfyUI that the pack runs in. Standard library only.

`COMFYUI=/path` names an existing install; without it a pinned ComfyUI is put into `.host/`
and its packages into `.venv/`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fvg_core.errors import HostError

PACK = Path(__file__).resolve().parent.parent
LINK_NAME = "comfyui-fvg"
TESTED_VERSION = (0, 30, 0)
MINIMUM_VERSION = (0, 20, 1)  # the oldest run; 0.18.2 lacks Schema(has_intermediate_output)
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
CUDA_PROBE = "import torch; print('cuda' if torch.cuda.is_available() else 'none')"


@dataclass(frozen=True)
class Install:
    """A ComfyUI on this machine and the Python that runs it."""

    root: Path
    python: Path
    version: tuple[int, ...]
    managed: bool

    @functools.cache  # noqa: B019  (an Install lives as long as the process)
    def has_cuda(self) -> bool:
        """Whether the install's own torch sees a CUDA device."""
        if sys.platform == "linux" and not any(map(os.path.exists, GPU_DEVICES)):
            return False  # importing torch to learn as much takes seconds
        probe = subprocess.run(
            [str(self.python), "-c", CUDA_PROBE], capture_output=True, text=True, check=False
        )
        if probe.returncode != 0:
            raise HostError(
                f"{self.python} cannot import torch, so it does not run {self.root}:\n"
                f"{probe.stderr.strip()[-500:]}\n"
                "Name the Python of that ComfyUI in COMFYUI_PYTHON."
            )
        return probe.stdout.strip() == "cuda"

    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def read_version(root: Path) -> tuple[int, ...]:
    """The version of the ComfyUI at `root`; (0, 0, 0) for one that does not say."""
    if not (root / "main.py").is_file() or not (root / "folder_paths.py").is_file():
        raise HostError(
            f"{root} is not a ComfyUI folder (no main.py and folder_paths.py in it). "
            "Set COMFYUI to the folder that holds ComfyUI's main.py."
        )
    try:
        text = (root / "comfyui_version.py").read_text(encoding="utf-8")
    except FileNotFoundError:
        return (0, 0, 0)
    match = re.search(r"__version__\s*=\s*[\"'](\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else (0, 0, 0)


def find_python(root: Path, environ: Mapping[str, str]) -> Path:
    """The Python that runs the ComfyUI at `root`: the named one, its own, or this one."""
    named = environ.get("COMFYUI_PYTHON")
    if named:
        if not os.access(named, os.X_OK):
            raise HostError(f"COMFYUI_PYTHON={named} is not a program that can be run.")
        return Path(named).absolute()
    venvs = [root / folder for folder in ("venv", ".venv")]
    embedded = [root / "python_embeded", root.parent / "python_embeded"]
    candidates = [folder / "bin" / "python" for folder in venvs]
    candidates += [folder / "Scripts" / "python.exe" for folder in venvs]
    candidates += [folder / "python.exe" for folder in embedded]
    return next((path for path in candidates if path.exists()), Path(sys.executable))


def existing_install(root: Path, environ: Mapping[str, str] = os.environ) -> Install:
    """The user's own ComfyUI, refused when it is too old for the pack."""
    root = root.expanduser().absolute()
    version = read_version(root)
    install = Install(root, find_python(root, environ), version, managed=False)
    if version < MINIMUM_VERSION:
        needed, tested = (".".join(map(str, v)) for v in (MINIMUM_VERSION, TESTED_VERSION))
        raise HostError(
            f"The ComfyUI at {root} is {install.version_text()}; FVG needs {needed} or newer "
            f"({tested} is tested). Update it, or leave COMFYUI unset and let "
            "the pinned one be installed."
        )
    return install


def link_pack(install: Install) -> Path:
    """Make the host load this checkout: a link in its custom_nodes, unless it is there already."""
    folder = install.root / "custom_nodes"
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.resolve() == PACK:
            return entry
    link = folder / LINK_NAME
    if link.is_symlink() and not link.exists():  # a link to a checkout that has moved
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
    if link.exists():
        raise HostError(
            f"{link} is another copy of this pack. Remove or rename it: two copies would "
            "register the same nodes twice."
        )
    try:
        link.symlink_to(PACK, target_is_directory=True)
    except FileExistsError:
        if link.resolve() != PACK:
            raise
    except OSError as error:
        raise HostError(f"Cannot link the pack into {folder}: {error.strerror}.") from error
    return link


def prepare(environ: Mapping[str, str] = os.environ) -> Install:
    """The install to use, ready to run: found or installed, checked, and linked to the pack."""
    if environ.get("COMFYUI"):
        install = existing_install(Path(environ["COMFYUI"]), environ)
    else:
        from dev.install import managed_install

        install = managed_install()
    link_pack(install)
    return install
