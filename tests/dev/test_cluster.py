"""What is asked of a Ray cluster, and what is refused before it is asked."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from dev.cluster import install_here, joined, resources
from dev.host import Install
from fvg_core.errors import BatchError, HostError

ON_A_GPU = {"num_cpus": 1, "num_gpus": 1}
ON_A_CPU = {"num_cpus": 1, "num_gpus": 0}


def test_a_worker_for_each_gpu_and_on_cpus_only_when_asked():
    assert resources({"CPU": 64.0, "GPU": 8.0}, None) == (8, ON_A_GPU)
    assert resources({"CPU": 64.0, "GPU": 8.0}, 3) == (3, ON_A_GPU)
    assert resources({"CPU": 4.0}, 2) == (2, ON_A_CPU)
    with pytest.raises(BatchError, match=r"has no GPU. .* --ray-workers 2"):
        resources({"CPU": 4.0}, None)
    with pytest.raises(BatchError, match=r"--ray-workers 9 is too much: .* has 8 GPUs"):
        resources({"CPU": 64.0, "GPU": 8.0}, 9)
    with pytest.raises(BatchError, match="has 4 CPUs"):
        resources({"CPU": 4.0}, 5)


def test_a_node_may_have_a_comfyui_of_its_own(install: Install, tmp_path: Path):
    python = install.python
    here = install_here(install.root, python, {})
    assert (here.root, here.python) == (install.root, python)
    own = install_here(tmp_path / "none", python, {"COMFYUI": str(install.root)})
    assert own.root == install.root
    with pytest.raises(HostError, match=r"There is no .*none, .* COMFYUI=/path/to/ComfyUI ray"):
        install_here(tmp_path / "none", python, {})


@pytest.mark.parametrize("address", ["ray://head:10001", "gpu1", "gpu1:8265/", "", "local:x"])
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(BatchError, match="expected local, auto or host:port"), joined(address):
        pass


def test_a_cluster_that_does_not_answer_is_named():
    pytest.importorskip("ray", reason="Ray is not installed (the extra `batch`)")
    with socket.socket() as held:  # by us, so that nobody answers there
        held.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{held.getsockname()[1]}", "127.0.0.1:99999"):
            why = f"Cannot join the Ray cluster '{address}': .*started"
            with pytest.raises(HostError, match=why), joined(address):
                pass


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BatchError, match="pip install ray"), joined("local"):
        pass
