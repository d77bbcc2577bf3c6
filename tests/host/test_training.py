"""Training in the real server, through the template and through graphs of the tiny world."""

from __future__ import annotations

import json
import math
import shutil

import checkpoints
import pytest
import torch
from graphs import Builder
from PIL import Image
from safetensors.torch import load_file
from training import CLIPS, Files, new_name, random_data, report, tiny, train

from dev.host import PACK
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.files import weights_key
from fvg_core.tiny.clips import write_clips

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

TEMPLATE = PACK / "workflows" / "fvg_train_anchor_lora.json"
VIDEO = PACK / "fvg_core" / "tiny" / "weights" / "fvg_tiny_video.safetensors"
STEPS, SEED = 24, 3
LOADER, POSITIVE, NEGATIVE, PICTURES, TRAINER = "2", "6", "7", "8", "10"


@pytest.fixture(scope="module")
def clips(comfy) -> None:
    write_clips(comfy.input / CLIPS, 12)


@pytest.fixture(scope="module")
def prompt(comfy, clips) -> dict:
    """The template, for a few dozen steps of small batches."""
    with ComfyClient(comfy.url) as client:
        prompt = to_prompt(load_workflow(TEMPLATE), client.object_info())
    prompt[TRAINER]["inputs"] |= {
        "steps": STEPS, "batch": 4, "micro_batch": 4, "warmup": 0,
        "checkpoint_every": 8, "validate_every": 8, "validation_clips": 4, "validation_steps": 6,
        "seed": SEED,
    }  # fmt: skip
    return prompt


@pytest.fixture(scope="module")
def trained(comfy, prompt):
    """The template's run: what it left, and the events on the way."""
    events: list[dict] = []
    watch = lambda e: events.append(e.data) if e.kind == "fvg.training" else None
    with ComfyClient(comfy.url) as client:
        result = client.run(prompt, on_event=watch)
    return result, events, Files(comfy, "fvg_tiny_trained")


def test_the_template_trains(trained, comfy):
    result, _, files = trained
    history = files.history()
    assert [h["step"] for h in history] == [*range(1, STEPS + 1)]
    assert all(math.isfinite(h["loss"]) for h in history)
    measured = [h["held_out"] for h in history if "held_out" in h]
    assert len(measured) == STEPS // 8
    # Eight clips and 24 steps are too few to generalise, but the anchor is put to use.
    gains = [m["unanchored"] - m["anchored"] for m in measured]
    assert gains == sorted(gains)
    assert gains[-1] > 0
    assert files.checkpoints() == [8, 16, 24]
    assert f"{STEPS} steps" in report(result)
    videos = sorted(files.folder.glob("validation/*/*.webp"))
    assert [v.parent.name for v in videos] == [f"step-{n:08d}" for n in (8, 16, 24)]
    with Image.open(videos[-1]) as video:
        assert video.n_frames == 17
        assert video.size == (64, 64)
    assert list((comfy.output / "fvg").glob("trained_*.mp4"))  # what the template saves


def test_the_page_is_told(trained):
    result, events, files = trained
    assert all(e["node"] == TRAINER for e in events)
    steps = [e["step"] for e in events]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert {8, 16, 24} <= {*steps}  # every validation
    last = events[-1]
    assert last["curve"]["steps"] == [*range(1, STEPS + 1)]
    assert last["curve"]["loss"] == [h["loss"] for h in files.history()]
    assert [p["step"] for p in last["curve"]["held_out"]] == [8, 16, 24]
    assert last["it_per_second"] > 0
    assert result.outputs[TRAINER]["fvg_training"][0]["curve"] == last["curve"]
    shown = result.outputs[TRAINER]["images"]
    assert [f["filename"] for f in shown] == ["loss.png", "video-0.webp"]


def test_the_page_can_ask_later(trained, client):
    *_, last = trained[1]
    kept = client.get("/fvg/training", name="fvg_tiny_trained")
    assert kept == {k: v for k, v in last.items() if k not in ("node", "prompt_id")}
    for name in ("", "never-trained", "../../user", "a/b", "."):
        assert client.get("/fvg/training", name=name) is None


def test_the_file_says_what_made_it(trained):
    metadata = trained[2].metadata()
    config = json.loads(metadata["config"])
    assert config["steps"] == STEPS
    assert config["algorithm"]["first_frame_share"] == 0.5
    assert (metadata["rank"], metadata["alpha"], metadata["steps"]) == ("16", "16.0", str(STEPS))
    assert metadata["base_model"] == "fvg_tiny_video.safetensors"
    assert metadata["base_model_class"] == "WAN21"
    assert metadata["base_model_weights"] == weights_key([VIDEO])
    assert metadata["clips"] == "8"
    assert metadata["anchors"].startswith("k = 0 in 0.5 of the anchored samples")
    assert json.loads(metadata["versions"])["torch"]
    assert len(metadata["dataset"]) == 64


def sampled_by_the_host(prompt: dict, sampler: str) -> dict:
    """The template's first and second group, the stock LoRA loader, and a sampler."""
    graph = {k: prompt[k] for k in (LOADER, POSITIVE, NEGATIVE, PICTURES)}
    lora = {"model": [LOADER, 0], "lora_name": "fvg_tiny_trained.safetensors"}
    inject = prompt["13"]["inputs"] | {"model": ["lora", 0], "image": [PICTURES, 0]}
    inputs = {
        "model": ["inject", 0], "positive": [POSITIVE, 0], "negative": [NEGATIVE, 0],
        "seed": SEED, "steps": 6, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple",
    }  # fmt: skip
    if sampler == "KSampler":
        inputs |= {"latent_image": ["inject", 1], "denoise": 1.0}
    else:
        window = {"guidance_start": 0.0, "guidance_end": 1.0, "shift": 3.0}
        inputs |= {"latent": ["inject", 1], **window}
    save = {"samples": ["sample", 0], "filename_prefix": f"host-{sampler}"}
    return graph | {
        "lora": {"class_type": "LoraLoaderModelOnly", "inputs": {**lora, "strength_model": 1.0}},
        "inject": {"class_type": "FVGAnchorLatentInjector", "inputs": inject},
        "sample": {"class_type": sampler, "inputs": inputs},
        "save": {"class_type": "SaveLatent", "inputs": save},
    }


@pytest.mark.parametrize("sampler", ["KSampler", "FVGAnchoredWanSampler"])
def test_the_stock_loader_samples_what_the_trainer_showed(trained, prompt, comfy, client, sampler):
    files = trained[2]
    logged = comfy.log.stat().st_size
    client.run(sampled_by_the_host(prompt, sampler))
    assert "lora key not loaded" not in comfy.log.read_text()[logged:]
    ours = load_file(files.folder / "validation" / f"step-{STEPS:08d}" / "video-0.latent")
    theirs = load_file(next(comfy.output.glob(f"host-{sampler}_*.latent")))
    a, b = ours["latent_tensor"], theirs["latent_tensor"]
    assert a.std() > 0.1
    torch.testing.assert_close(a, b, rtol=0, atol=2e-4)  # of values up to 14
    before = load_file(files.folder / "validation" / "step-00000008" / "video-0.latent")
    assert (before["latent_tensor"] - b).abs().max() > 1e-2  # the LoRA matters


def test_a_finished_run_is_given_back(trained, prompt, client):
    files = trained[2]
    stamp, history = files.lora.stat().st_mtime_ns, files.history()
    again = {**prompt, TRAINER: {**prompt[TRAINER]}}
    again[TRAINER]["inputs"] = {**prompt[TRAINER]["inputs"], "keep_checkpoints": 2}
    result = client.run(again)
    assert TRAINER not in result.cached
    assert "finished before; nothing was trained" in report(result)
    assert files.lora.stat().st_mtime_ns == stamp
    assert files.history() == history


@pytest.mark.parametrize("lora", [False, True])
def test_the_graphs_own_model_stays_as_it_is(comfy, client, lora):
    """Sample, train, sample: bit for bit the same, also when LoRAs lie on the MODEL."""
    found, name = {}, new_name()
    for when, sampler in (("before", "KSampler"), ("after", "KSamplerAdvanced")):
        graph = Builder()  # another class, or the host would take the result from its cache
        graph.world(lora=lora)
        graph.inject(image=graph.pictures())
        if sampler == "KSampler":
            latent = graph.sample_stock(steps=2)
        else:
            latent = graph._sampled(
                sampler, latent_image=graph.latent, add_noise="enable", noise_seed=1, steps=2,
                cfg=5.0, sampler_name="euler", scheduler="simple", start_at_step=0,
                end_at_step=10000, return_with_leftover_noise="disable",
            )  # fmt: skip
        graph.save(latent, f"{when}-{name}")
        result = client.run(graph.graph)
        assert latent[0] not in result.cached
        found[when] = load_file(next(comfy.output.glob(f"{when}-{name}_*")))["latent_tensor"]
        graph = Builder()
        graph.world(lora=lora)
        train(graph, name)
        client.run(graph.graph)
    assert torch.equal(found["before"], found["after"])
    assert bool(Files(comfy, name).metadata()["base_model_merged"]) == lora


def test_loras_on_the_model_are_trained_on(comfy, client):
    losses = []
    for lora in (False, True):
        graph, name = Builder(), new_name()
        graph.world(lora=lora)
        train(graph, name, steps=1)
        client.run(graph.graph)
        losses.append(Files(comfy, name).history()[0]["loss"])
    assert abs(losses[0] - losses[1]) > 1e-3


def test_the_5b_trains(comfy, client):
    graph = tiny()
    folder = comfy.output / "diffusion_models"
    family = checkpoints.write("wan22_5b", folder)
    graph.model = [graph.add("UNETLoader", unet_name=family, weight_dtype="default"), 0]
    name = new_name()
    train(
        graph,
        name,
        random_data(graph, channels=48),
        steps=2,
        dtype="bf16",
        gradient_checkpointing=True,
    )
    client.run(graph.graph)
    assert [h["step"] for h in Files(comfy, name).history()] == [1, 2]
    assert Files(comfy, name).weights()["diffusion_model.head.head.lora_B.weight"].abs().max() > 0


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_a_model_in_fp8_trains(comfy, client, dtype):
    graph, name = tiny(), new_name()
    folder = comfy.output / "diffusion_models"
    folder.mkdir(exist_ok=True)
    shutil.copy(VIDEO, folder)
    graph.model = [graph.add("UNETLoader", unet_name=VIDEO.name, weight_dtype="fp8_e4m3fn"), 0]
    train(graph, name, steps=2, dtype=dtype)
    client.run(graph.graph)
    assert [h["step"] for h in Files(comfy, name).history()] == [1, 2]
    assert all(math.isfinite(h["loss"]) for h in Files(comfy, name).history())
    weights = Files(comfy, name).weights()
    assert any(w.abs().max() > 1e-3 for key, w in weights.items() if "lora_B" in key)


def test_fp32_goes_on_with_a_model_in_16_bits(comfy, client):
    """On a GPU its layers take 16 bits only."""
    folder, name = comfy.output / "diffusion_models", new_name()
    folder.mkdir(exist_ok=True)
    shutil.copy(VIDEO, folder)
    for dtype, steps in (("bf16", 1), ("fp32", 2)):
        graph = tiny()
        graph.model = [graph.add("FVGSixteenBits", name=VIDEO.name), 0]
        train(graph, name, steps=steps, dtype=dtype)
        client.run(graph.graph)
    assert [h["step"] for h in Files(comfy, name).history()] == [1, 2]
