"""What programs that run the host's own modules begin with, and how tests run them.

A program gets two arguments, <ComfyUI> <folder>. In the folder it finds jobs: files with
tensors (the model's weights under `model.`) and the constructor's arguments (`sizes`) in the
metadata. It leaves result.safetensors there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

if TYPE_CHECKING:
    from dev.host import Install

PACK = Path(__file__).resolve().parents[2]
_RESULT = "result.safetensors"


def begin() -> Path:
    """In a program, first of all: make the host's modules importable. Returns the folder."""
    root, folder = sys.argv[1:]
    sys.path[:0] = [root]  # ComfyUI's `nodes` must win over the pack's
    sys.path.append(str(PACK))
    sys.argv[1:] = ["--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    return Path(folder)


def read_job(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(sizes, tensors)"""
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["sizes"]), tensors


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def write_result(folder: Path, results: dict[str, Tensor]) -> None:
    save_file({k: v.contiguous() for k, v in results.items()}, folder / _RESULT)


def write_job(path: Path, sizes: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    save_file(tensors, path, {"sizes": json.dumps(sizes)})


def run_in_host(install: Install, program: str, folder: Path) -> dict[str, Tensor]:
    """What a program beside this file makes of the jobs in a folder."""
    done = subprocess.run(
        [install.python, Path(__file__).with_name(program), install.root, folder],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / _RESULT)
