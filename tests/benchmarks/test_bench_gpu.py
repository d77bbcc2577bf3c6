"""The GPU benchmark on the CPU, at tiny sizes, where nothing but torch is installed."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_gpu
from benchmarks.gpu_bundle import OF_TORCH
from dev.host import PACK

pytestmark = pytest.mark.host

# What pip installs with torch 2.11.
WITH_TORCH = OF_TORCH | {
    "filelock", "fsspec", "jinja2", "markupsafe", "typing_extensions.py", "isympy.py",
}  # fmt: skip


def run(*command: str, **more) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **more)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def carried(install, tmp_path_factory) -> Path:
    """The folder to carry."""
    folder = tmp_path_factory.mktemp("gpu") / "bundle"
    host = ("--host", str(install.root), "--bundle", str(folder))
    said = run(str(install.python), "-m", "benchmarks.bench_gpu", *host, cwd=PACK)
    assert "for Python" in said
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> dict[str, str]:
    """The environment of a Python that has torch and nothing else."""
    folder = tmp_path_factory.mktemp("only-torch")
    for packages in map(Path, site.getsitepackages()):
        for path in packages.iterdir():
            if path.name in WITH_TORCH or path.name.startswith("torch-"):
                (folder / path.name).symlink_to(path)
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_it_runs_from_the_folder_alone(carried, bare, tmp_path):
    python = (sys.executable, "-S")  # without site-packages
    for name in ("einops", "numpy"):
        assert subprocess.run([*python, "-c", f"import {name}"], env=bare, check=False).returncode
    small = ("--device", "cpu", "--model", "small experts", "--steps", "3", "--compile", "eager")
    said = run(*python, str(carried / "bench_gpu.py"), *small, env=bare, cwd=tmp_path)
    assert "## small experts, 64 x 64 x 17, bf16" in said
    (case,) = json.loads((carried / "gpu.json").read_text())["cases"]
    assert {"stock", "plain", "anchored", "anchored, compiled (eager)"} < case["runs"].keys()
    assert "anchored, pytorch attention" in case["runs"]
    for name, found in {**case["runs"], **case["parts"]}.items():
        assert found["seconds"]["median"] > 0, (name, found)
    assert "anchored, 15 steps" in (carried / "gpu.md").read_text()


def case(**more) -> dict:
    figure = lambda s: {
        "seconds": {"median": s, "low": s, "high": s, "count": 1},
        "peak_bytes": 2 * 10**9,
    }
    runs = {"stock": figure(2.0), "plain": figure(2.0), "anchored": figure(2.5)}
    parts = {"encode": figure(1.0), "decode": figure(4.0)}
    named = {"model": "5B", "video": "1280 x 704 x 121", "dtype": "bf16"}
    return {**named, "runs": {**runs, **more}, "parts": parts}


def test_whole_videos_are_sums_of_their_parts():
    page = bench_gpu.page({"date": "today", "machine": "GPU: none", "cases": [case()]})
    assert "text to video, 50 steps: 104.0 s" in page
    assert "anchored, 15 steps: 42.5 s (0.41 of it)" in page
    assert "anchored, 8 steps: 25.0 s (0.24 of it)" in page
    assert "| step, anchored | 2.500 (2.500 to 2.500, n=1) | 2.00 |" in page


def test_what_does_not_fit_is_said_and_nothing_made_up():
    failed = {"anchored": {"error": "OutOfMemoryError: CUDA out of memory"}}
    page = bench_gpu.page({"date": "today", "machine": "GPU: none", "cases": [case(**failed)]})
    assert "| step, anchored | OutOfMemoryError: CUDA out of memory | - |" in page
    assert "a part is missing" in page
    assert "15 steps" not in page
