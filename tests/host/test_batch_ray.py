"""A batch on a Ray cluster: shared, killed, frozen, and gone without a trace."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from batches import ROOT, Batch, moving

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

SMALL = {"object_store_memory": 80 << 20, "include_dashboard": False}


def until(true: Callable[[], object], what: str) -> None:
    """Wait, long enough for a machine that has other things to do."""
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def processes(words: str) -> list[psutil.Process]:
    """Those whose command lines hold these words."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if words in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def comfy_at(url: str) -> psutil.Process:
    (found,) = (p for p in processes(f"--port {url.rpartition(':')[2]} "))
    return found


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files in which the names of Ray's sockets fit."""
    with tempfile.TemporaryDirectory(prefix="fvg", ignore_cleanup_errors=True) as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setenv("RAY_TMPDIR", name)
        yield Path(name)


@pytest.fixture
def cluster(short: Path) -> Iterator[str]:
    """The address of a Ray cluster of two nodes, with a CPU each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    try:
        nodes.add_node(num_cpus=1, **SMALL)
        nodes.add_node(num_cpus=1, **SMALL)
        yield nodes.address
    finally:
        nodes.shutdown()


def test_one_that_dies_comes_back_at_another_address(cluster: str, short: Path, tmp_path: Path):
    """The other one is frozen meanwhile, so that nothing goes on without the one that is back."""
    batch = Batch(tmp_path)
    batch.write(*moving(6, "ball"), *moving(6, "ring"))
    process = batch.start("--ray", cluster, "--ray-workers", "2")
    seen = lambda: {line["server"] for line in batch.lines()}
    until(lambda: len(seen()) == 2 or process.poll() is not None, "two workers have done nothing")
    assert process.poll() is None, process.communicate()
    killed, frozen = (comfy_at(url) for url in sorted(seen()))
    frozen.suspend()
    killed.kill()
    until(lambda: len(seen()) == 3, "the worker does not come back")
    frozen.resume()
    said = "".join(process.communicate(timeout=300))
    assert process.returncode == 0, said
    batch.check(12)
    assert not processes(str(short / "fvg-ray"))  # their folders are in their command lines
    assert not list(short.glob("fvg-ray*"))


def test_a_node_without_comfyui_is_named(short: Path, tmp_path: Path):
    code = (
        "from pathlib import Path; from dev.cluster import workers; from dev.host import Install; "
        f"nowhere = Install(Path('{tmp_path}/none'), Path('python'), (0, 30, 0), False); "
        "workers(nowhere, 'local', 1).__enter__()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    (said,) = (line for line in done.stderr.splitlines() if "HostError: No ComfyUI" in line)
    assert f"started on Ray: There is no {tmp_path}/none, which is the client's" in said
    assert not list(short.iterdir())


SHARE = """
import sys, time
from pathlib import Path
import ray
from dev.cluster import workers
from dev.host import prepare

with workers(prepare(), sys.argv[1], 2) as fleet:
    assert len(fleet.urls) == 1
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 1:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.1)
"""


def test_a_worker_that_does_not_start_gives_its_place_back(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    try:
        nodes.add_node(num_cpus=1, **SMALL)
        monkeypatch.setenv("COMFYUI", str(tmp_path))
        nodes.add_node(num_cpus=1, **SMALL)
        monkeypatch.delenv("COMFYUI")
        command = [sys.executable, "-c", SHARE, nodes.address]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    finally:
        nodes.shutdown()
    assert done.returncode == 0, done.stderr
    assert "Going on without one worker: " in done.stderr


def test_nothing_outlives_a_command_that_is_killed(short: Path, tmp_path: Path):
    batch = Batch(tmp_path)
    batch.write(*moving(6, "star"))
    process = batch.start("--ray", "local", "--ray-workers", "1")
    batch.wait_for(1)
    assert processes(str(short))
    process.kill()
    process.communicate()
    until(lambda: not processes(str(short)), "something goes on")
