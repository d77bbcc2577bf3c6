"""Nothing is lost: going on after the end, after an interruption, and after kill -9."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import checkpoints
import pytest
import torch
from graphs import LORA, Builder, forget
from safetensors.torch import load_file, save_file
from training import Files, new_name, random_data, refused, report, tiny, train

from dev.host import PACK, Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient, InterruptedRunError
from tests.conftest import OFFLINE, TEST_PACKS

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

TINY_LORA = PACK / "fvg_core" / "tiny" / "weights" / "loras" / LORA
# Long steps, so that there is time to break in.
LONG = {"steps": 8, "batch": 8, "micro_batch": 1, "ema": 0.9, "dropout": 0.1}


def test_more_steps_go_on_and_start_again_loses_nothing(comfy, client):
    name = new_name()
    files = Files(comfy, name)

    def run(**settings) -> str:
        graph = tiny()
        train(graph, name, **settings)
        return report(client.run(graph.graph))

    run(steps=2)
    first = files.weights()
    assert "went on from step 2" in run(steps=4)
    assert [h["step"] for h in files.history()] == [1, 2, 3, 4]
    assert "exists already and was trained otherwise (lora" in refused(client, name, rank=8)
    said = run(steps=2, rank=8, if_exists="start again")
    assert f"moved to training-old/{name}-1" in said
    old = comfy.output / "fvg" / "training-old" / f"{name}-1"
    assert (old / "history.jsonl").read_text().count("\n") == 4
    assert load_file(old / f"{name}.safetensors").keys() == first.keys()
    assert files.metadata()["rank"] == "8"


def test_a_lower_learning_rate_and_smaller_micro_batches_go_on_but_are_no_finished_run(
    comfy, client
):
    name = new_name()
    graph = tiny()
    train(graph, name, steps=2)
    client.run(graph.graph)
    less = {"learning_rate": 1e-4, "micro_batch": 1}
    said = refused(client, name, steps=2, **less)
    assert "trained otherwise (optimizer {" in said
    graph = tiny()
    train(graph, name, steps=4, **less)
    assert "went on from step 2" in report(client.run(graph.graph))
    assert [h["lr"] for h in Files(comfy, name).history()] == [2e-3, 2e-3, 1e-4, 1e-4]


def test_a_finished_lora_is_not_given_back_for_other_weights_under_the_same_name(comfy, client):
    name, base = new_name(), comfy.output / "diffusion_models"
    path = base / checkpoints.write("wan22_5b", base)

    def graph() -> Builder:
        made = tiny()
        made.model = [made.add("UNETLoader", unet_name=path.name, weight_dtype="default"), 0]
        return made

    data = lambda made: random_data(made, channels=48)
    first = graph()
    train(first, name, data(first), steps=1)
    client.run(first.graph)
    weights = path.read_bytes()
    path.write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    forget(client)
    assert "trained otherwise (base_model_weights)" in refused(client, name, data, graph(), steps=1)


def test_a_run_is_not_continued_on_another_lora_of_the_same_layers(comfy, client):
    name, folder = new_name(), Files(comfy, "any").lora.parent
    folder.mkdir(parents=True, exist_ok=True)
    lora = load_file(TINY_LORA)
    other = {k: -v if "lora_B" in k or "lora_up" in k else v for k, v in lora.items()}
    for file, weights in (("one", lora), ("copy", lora), ("other", other)):
        save_file(weights, folder / f"{name}-{file}.safetensors")

    def graph(*files: str) -> Builder:
        made = tiny()
        for file in files:
            lora_name = f"{name}-{file}.safetensors"
            made.wrap("LoraLoaderModelOnly", lora_name=lora_name, strength_model=1.0)
        return made

    first = graph("one")
    train(first, name, steps=1)
    client.run(first.graph)
    for loras in (["other"], ["one", "other"], []):
        said = refused(client, name, graph=graph(*loras), steps=2)
        assert "trained otherwise (base_model_merged)" in said
    again = graph("copy")
    train(again, name, steps=2)
    assert "went on from step 1" in report(client.run(again.graph))


def interrupt_at(client, graph: Builder, step: int) -> int:
    """Run, interrupt when the page is told of `step`; the last step it was told of."""
    told: list[int] = []

    def watch(event):
        if event.kind == "fvg.training":
            if event.data["step"] >= step and (not told or told[-1] < step):
                client.interrupt(event.data["prompt_id"])
            told.append(event.data["step"])

    with pytest.raises(InterruptedRunError):
        client.run(graph.graph, on_event=watch)
    return told[-1]


def test_an_interrupted_run_goes_on_to_the_same_weights(comfy, client):
    names, steps = (new_name(), new_name()), LONG["steps"]
    graph = tiny()
    train(graph, names[0], **LONG)
    interrupt_at(client, graph, 1)
    (saved,) = Files(comfy, names[0]).checkpoints()  # checkpoint_every is 0: by the interruption
    assert 1 <= saved < steps
    assert [h["step"] for h in Files(comfy, names[0]).history()] == [*range(1, saved + 1)]
    assert not Files(comfy, names[0]).lora.exists()
    for name in names:
        graph = tiny()
        train(graph, name, **LONG)
        said = report(client.run(graph.graph))
        assert (f"went on from step {saved}" in said) == (name == names[0])
    assert_same(*(Files(comfy, name).weights() for name in names))


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(a[k].abs().max() > 1e-3 for k in a if "lora_B" in k)


def test_a_killed_server_goes_on_to_the_same_weights(install: Install, tmp_path: Path):
    names = new_name(), new_name()

    def server() -> ComfyServer:
        return ComfyServer(
            install, tmp_path, custom_nodes=[TEST_PACKS], only_pack=True,
            env={**OFFLINE, "OMP_NUM_THREADS": "1"}, own_loras=True,
        )  # fmt: skip

    def graph(name: str) -> dict:
        graph = tiny()
        train(graph, name, checkpoint_every=2, **LONG)
        return graph.graph

    with server() as first, ComfyClient(first.url) as client:
        client.submit(graph(names[0]))
        history = Files(first, names[0]).folder / "history.jsonl"
        wait_for(lambda: history.exists() and len(history.read_text().splitlines()) >= 5)
        os.killpg(first.process.pid, signal.SIGKILL)
    saved = Files(first, names[0]).checkpoints()
    assert saved
    assert saved[-1] < LONG["steps"]
    with server() as second, ComfyClient(second.url) as client:
        assert f"went on from step {saved[-1]}" in report(client.run(graph(names[0])))
        client.run(graph(names[1]))
        steps = [h["step"] for h in Files(second, names[0]).history()]
        assert steps == [*range(1, LONG["steps"] + 1)]
        assert_same(*(Files(second, name).weights() for name in names))


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
