"""The hold on a CUDA device: precisions, quantised weights, offloading. Skipped without one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HOST_TESTS = Path(__file__).resolve().parents[1] / "host"
sys.path.append(str(HOST_TESTS))

from graphs import LORA, Builder  # noqa: E402
from test_hold import Outcome, Runner, normalised  # noqa: E402

from dev.server import ComfyServer  # noqa: E402
from fvg_core.bench.client import ComfyClient  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

WEIGHTS = HOST_TESTS.parents[1] / "fvg_core" / "tiny" / "weights" / "fvg_tiny_video.safetensors"
DEVICE = "gpu"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

# Server flags, and the step of the model's own precision: its input is rounded to it.
SETTINGS = {
    "fp32": (("--fp32-unet",), 1e-6),
    "bf16": (("--bf16-unet",), 2**-8),
    "lowvram": (("--bf16-unet", "--lowvram", "--disable-dynamic-vram"), 2**-8),
    "novram": (("--bf16-unet", "--novram"), 2**-8),
}


@pytest.fixture(scope="module", params=SETTINGS)
def setting(request, install, tmp_path_factory) -> Iterator[tuple[Runner, float]]:
    """A server of its own for every setting, with the video model in its list."""
    flags, step = SETTINGS[request.param]
    server = ComfyServer(
        install,
        tmp_path_factory.mktemp(f"gpu-{request.param}"),
        custom_nodes=[HOST_TESTS / "packs"],
        only_pack=True,
        extra_args=flags,
        device=DEVICE,
        env=OFFLINE,
    )
    with server, ComfyClient(server.url) as client:
        (server.output / "diffusion_models").mkdir()
        shutil.copy(WEIGHTS, server.output / "diffusion_models")
        yield Runner(server, client), step


def anchored(weight_dtype: str, batch: int = 1) -> Builder:
    graph = Builder()
    graph.world(lora=False)
    loader = graph.add("UNETLoader", unet_name=WEIGHTS.name, weight_dtype=weight_dtype)
    graph.model = [loader, 0]
    graph.wrap("LoraLoaderModelOnly", lora_name=LORA, strength_model=1.0)
    graph.inject(image=graph.pictures(batch))
    return graph


def check(outcome: Outcome, step: float) -> None:
    clean = normalised(outcome.clean)
    assert outcome.calls
    for call in outcome.calls:
        given = call["x"][:, :, 0].float()
        expected = clean[:, :, 0].repeat(len(call["branch"]), 1, 1, 1)
        torch.testing.assert_close(given, expected, rtol=step, atol=1e-6)
        assert (call["t"][:, 0] == 0).all()
        assert (call["t"][:, 1:] > 0).all()
    # The hold itself is computed in fp32, whatever the model is.
    assert (outcome.unpinned - outcome.clean)[:, :, 0].abs().max() <= 1e-5
    assert torch.equal(outcome.final[:, :, 0], outcome.clean[:, :, 0])
    assert outcome.final.isfinite().all()
    assert (outcome.final[:, :, 1:] - outcome.clean[:, :, :1]).abs().max() > 1e-2


@pytest.mark.parametrize("weight_dtype", ["default", "fp8_e4m3fn", "fp8_e5m2"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_hold(setting, weight_dtype, batch):
    runner, step = setting
    check(runner.finish(anchored(weight_dtype, batch)), step)


def test_the_work_is_done_on_the_gpu(setting):
    runner, _ = setting
    (device, *_rest) = runner.client.system_stats()["devices"]
    assert device["type"] == "cuda"
