"""Every template with a video model of its own runs, its files replaced by small ones of the same
family, and its anchors come out bit for bit."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dev.host import LINK_NAME, PACK
from dev.server import ComfyServer
from dev.templates import files
from dev.templates.blueprint import NAME
from fvg_core.backbones import MODELS
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.video import read_frames
from fvg_core.bench.workflow import load_workflow, to_prompt
from tests.host import stand_ins

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

OF_THE_TINY_WORLD = {"fvg_tiny", "fvg_diagnose", "fvg_train_anchor_lora"}  # other tests run them
TEMPLATES = sorted(
    path for path in PACK.glob("workflows/*.json") if path.stem not in OF_THE_TINY_WORLD
)
SIZE, LENGTH = 64, 17

# All that is changed in a template: sizes, numbers of steps and tries, and nobody clicks.
OVERRIDES = {
    "FVGFirstFramePromptRewriter": {"attempts": 1},
    "FVGAnchorImageGenerator": {"width": SIZE, "height": SIZE, "candidates": 1, "steps": 2},
    "FVGAnchorPicker": {"policy": "first"},
    "FVGAnchorLatentInjector": {"width": SIZE, "height": SIZE, "length": LENGTH},
    "FVGAnchoredWanSampler": {"steps": 4},
}


def of(prompt: dict, kind: str) -> list[str]:
    return [number for number, node in prompt.items() if node["class_type"] == kind]


@pytest.fixture(scope="module")
def stand_in_files(comfy: ComfyServer) -> None:
    """All files that the templates name."""
    with ComfyClient(comfy.url) as client:
        stand_ins.write(comfy, client, map(load_workflow, TEMPLATES))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_it_runs_and_holds_its_anchors(
    path: Path, stand_in_files: None, comfy: ComfyServer, client: ComfyClient
) -> None:
    prompt = to_prompt(load_workflow(path), client.object_info())
    for node in prompt.values():
        node["inputs"] |= OVERRIDES.get(node["class_type"], {})
    names = {kind: f"{kind}-{uuid.uuid4().hex}" for kind in ("given", "made")}
    injectors = of(prompt, "FVGAnchorLatentInjector")
    (sampler,) = of(prompt, "FVGAnchoredWanSampler")
    latents = {"given": prompt[sampler]["inputs"]["latent"], "made": [sampler, 0]}
    for kind, source in latents.items():
        inputs = {"samples": source, "filename_prefix": names[kind]}
        prompt[kind] = {"class_type": "SaveLatent", "inputs": inputs}
    before = set(comfy.output.rglob("*.mp4"))
    client.run(prompt)
    given, made = (
        load_file(next(comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]
        for name in names.values()
    )
    frames = [{"first": 0, "last": -1}[prompt[n]["inputs"]["frame"]] for n in injectors]
    for frame in frames:
        assert given[:, :, frame].any()
        assert torch.equal(made[:, :, frame], given[:, :, frame])
    assert made[:, :, 1:-1].isfinite().all()
    assert (made[:, :, 1:-1] - given[:, :, 1:-1]).abs().mean() > 0.1
    (video,) = set(comfy.output.rglob("*.mp4")) - before
    shown = read_frames(video)
    assert (len(shown), shown[0].size) == (LENGTH, (SIZE, SIZE))


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_model_of_the_table_is_in_a_template(spec) -> None:
    texts = [path.read_text(encoding="utf-8") for path in TEMPLATES]
    assert any(all(file.name in text for file in spec.files) for text in texts)


def test_the_files_are_what_the_recipes_make(client: ComfyClient) -> None:
    """Else: python -m dev templates --pictures"""
    made = files(client.object_info())
    assert {place: (PACK / place).read_text(encoding="utf-8") for place in made} == made
    assert all((PACK / place).with_suffix(".jpg").is_file() for place in made if "work" in place)


def test_the_blueprint_is_listed(client: ComfyClient) -> None:
    listed = client.get("/global_subgraphs").values()
    ours = [entry["name"] for entry in listed if entry["info"]["node_pack"].endswith(LINK_NAME)]
    assert ours == [NAME]
