"""What is asked of a Ray cluster, and what is refused before it is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dev.cluster import environment, install_here, joined, own_folder, resources
from dev.host import PACK, Install
from dev.server import ComfyServer
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
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    with socket.socket() as held:  # by us, so that nobody answers there
        held.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{held.getsockname()[1]}", "127.0.0.1:99999"):
            why = f"Cannot join the Ray cluster '{address}': .*started"
            with pytest.raises(HostError, match=why), joined(address):
                pass


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(BatchError, match=r"the extra `ray`.*pip install 'ray>=2\.60'"),
        joined("local"),
    ):
        pass


def test_a_cluster_that_wants_a_token_is_named(tmp_path: Path):
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        code = f"from dev.cluster import joined; joined({address!r}).__enter__()"
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        env |= {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}  # where no token is kept
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PACK, env=env, capture_output=True, text=True
        )
    assert f"HostError: Cannot join the Ray cluster '{address}': " in done.stderr, done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVG_THERE", "mine")
    monkeypatch.delenv("FVG_NEW", raising=False)
    with environment({"FVG_THERE": "other", "FVG_NEW": "new"}):
        assert (os.environ["FVG_THERE"], os.environ["FVG_NEW"]) == ("other", "new")
    assert os.environ["FVG_THERE"] == "mine"
    assert "FVG_NEW" not in os.environ


def test_a_comfyui_does_not_hear_the_token_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS"):
        monkeypatch.setenv(name, f"value of {name}")
    tell = tmp_path / "tell"
    tell.write_text("#!/bin/sh\nenv | grep ^RAY_\n")
    tell.chmod(0o700)
    with (
        pytest.raises(HostError, match="value of RAY_ADDRESS") as told,
        ComfyServer(Install(tmp_path, tell, (0, 30, 0), False), tmp_path, device="cpu"),
    ):
        pass
    assert "RAY_AUTH" not in str(told.value)


def test_a_folder_that_somebody_else_made_is_refused(tmp_path: Path):
    own = tmp_path / "own"
    own_folder(own)
    own_folder(own)  # as after a restart
    assert own.stat().st_mode & 0o777 == 0o700
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(own)
    file.touch()
    for other in (link, file):
        with pytest.raises(HostError, match=f"{other} is there already, and is not"):
            own_folder(other)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path):
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(HostError, match="is not a folder of the user who runs Ray"):
        own_folder(tmp_path)
