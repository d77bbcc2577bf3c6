"""The pack without its tiny weights, or with damaged ones: a copy of it in a server of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient, RunError

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
COPY = "fvg-copy"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
GRAPH = {
    "world": {"class_type": "FVGTinyWorldLoader", "inputs": {}},
    "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["world", 2], "text": "a"}},
    "empty": {
        "class_type": "EmptyHunyuanLatentVideo",
        "inputs": {"width": 64, "height": 64, "length": 1, "batch_size": 1},
    },
    "decoded": {
        "class_type": "VAEDecode",
        "inputs": {"samples": ["empty", 0], "vae": ["world", 3]},
    },
    "saved": {
        "class_type": "SaveImage",
        "inputs": {"images": ["decoded", 0], "filename_prefix": "must-not-exist"},
    },
    "shown": {"class_type": "PreviewAny", "inputs": {"source": ["text", 0]}},
}


@pytest.fixture(scope="module")
def server(install, tmp_path_factory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("copy")
    pack = base / "packs" / COPY
    for name in ("nodes", "fvg_core"):
        shutil.copytree(ROOT / name, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", pack)
    alone = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", COPY)
    with ComfyServer(
        install, base, custom_nodes=[base / "packs"], extra_args=alone, env=OFFLINE
    ) as server:
        yield server


@pytest.fixture
def weights(server) -> Iterator[Path]:
    """The copy's weights, whole again after the test."""
    folder = server.base / "packs" / COPY / "fvg_core" / "tiny" / "weights"
    yield folder
    shutil.copytree(ROOT / "fvg_core" / "tiny" / "weights", folder, dirs_exist_ok=True)


def said(server: ComfyServer) -> str:
    with ComfyClient(server.url) as client, pytest.raises(RunError) as raised:
        client.run(GRAPH)
    assert raised.value.node_type == "FVGTinyWorldLoader"
    assert not [p for p in server.output.rglob("*") if p.is_file()]
    return str(raised.value)


PARTS = ("video", "image", "text_encoder", "vae")


@pytest.mark.parametrize("part", PARTS)
def test_missing_weights(server, weights: Path, part: str):
    name = f"fvg_tiny_{part}.safetensors"
    (weights / name).unlink()
    message = said(server)
    assert f"{name} is missing from fvg_core/tiny/weights" in message
    assert "git checkout -- fvg_core/tiny/weights" in message
    assert "python -m fvg_core.tiny train" in message


def _truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _lose_the_recipe(path: Path) -> None:
    """The tensors without the metadata."""
    _rewrite(path, lambda tensors: tensors, metadata={})


def _lose_tensors(path: Path) -> None:
    _rewrite(path, lambda tensors: dict(list(tensors.items())[: len(tensors) // 2]))


def _rewrite(path: Path, change, metadata: dict | None = None) -> None:
    with safe_open(path, "pt") as file:
        kept = file.metadata() if metadata is None else metadata
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(change(tensors), path, metadata=kept)


DAMAGE = {
    "truncated": _truncate,
    "empty": lambda path: path.write_bytes(b""),
    "a web page": lambda path: path.write_text("<!doctype html><title>404</title>" * 100),
    "a pointer": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "without its metadata": _lose_the_recipe,
    "without half its tensors": _lose_tensors,
}


# A VAE is read from its tensors alone.
HARMLESS = {("vae", "without its metadata")}
CASES = [(p, d) for p in PARTS for d in DAMAGE if (p, d) not in HARMLESS]


@pytest.mark.parametrize(("part", "damage"), CASES)
def test_damaged_weights(server, weights: Path, part: str, damage: str):
    name = f"fvg_tiny_{part}.safetensors"
    DAMAGE[damage](weights / name)
    message = said(server)
    assert f"{name} in fvg_core/tiny/weights is damaged" in message
    assert "git checkout -- fvg_core/tiny/weights" in message


@pytest.mark.parametrize("part", PARTS[:3])
def test_weights_of_another_model(server, weights: Path, part: str):
    name = f"fvg_tiny_{part}.safetensors"
    shutil.copy(weights / "fvg_tiny_vae.safetensors", weights / name)
    assert f"{name} in fvg_core/tiny/weights is damaged" in said(server)


def test_the_copy_works_with_its_weights(server, weights: Path):
    with ComfyClient(server.url) as client:
        assert client.run(GRAPH).files("saved")
        loaded = client.object_info()["FVGTinyWorldLoader"]["python_module"]
    assert COPY in loaded, json.dumps(loaded)
