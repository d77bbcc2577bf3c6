"""Shared fixtures: the install, one ComfyUI server for all tests, and a client for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from dev.host import Install, prepare  # noqa: E402
from dev.server import ComfyServer  # noqa: E402
from fvg_core.bench.client import ComfyClient  # noqa: E402

# Packs that only tests load, e.g. the probe that records what the model was given, and those of
# the benchmarks.
TEST_PACKS = ROOT / "tests" / "host" / "packs"
BENCH_PACKS = ROOT / "benchmarks" / "packs"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
STAGES = ("host", "browser", "gpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cheap tests first; GPU tests only where there is a GPU."""
    items.sort(
        key=lambda item: max(
            (STAGES.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in STAGES),
            default=0,
        )
    )
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def install() -> Install:
    """The ComfyUI under test, with the pack linked in."""
    return prepare()


@pytest.fixture(scope="session")
def comfy(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """One server for all tests, with the packs of tests and benchmarks loaded."""
    with ComfyServer(
        install,
        tmp_path_factory.mktemp("comfy"),
        custom_nodes=[TEST_PACKS, BENCH_PACKS],
        only_pack=True,
        env={**OFFLINE, "OMP_NUM_THREADS": "1"},  # the tiny models gain nothing from more
        own_loras=True,
    ) as server:
        yield server


@pytest.fixture
def client(comfy: ComfyServer) -> Iterator[ComfyClient]:
    """A client of the shared server."""
    with ComfyClient(comfy.url) as client:
        yield client
