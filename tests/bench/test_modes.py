"""The paper's baselines from the same template: what stays, what goes, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batch_parts import INFO, api_prompt, node

from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.template import Template
from fvg_core.errors import BatchError

LORA = {"class_type": "LoraLoaderModelOnly", "_meta": {"title": "Anchor LoRA"}}
MORE = {
    "LoraLoaderModelOnly": node("LoraLoaderModelOnly", "Load LoRA", model=["MODEL"]),
    "UNETLoader": node("UNETLoader", "Load Diffusion Model"),
    "PreviewImage": node("PreviewImage", "Preview", images=["IMAGE"]) | {"output_node": True},
    "PreviewAny": node("PreviewAny", "Preview", source=["*"]) | {"output_node": True},
    "SaveVideo": INFO["SaveVideo"] | {"output_node": True},
}
ALL = INFO | MORE


def chained() -> dict:
    """Two injectors in a row, two LoRAs, a preview of candidates and one of the rewrite."""
    prompt = api_prompt()
    prompt["1"] = {"class_type": "UNETLoader", "inputs": {}}
    prompt["2"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["1", 0], "lora_name": "fast.safetensors"},
        "_meta": {"title": "Four Steps"},
    }
    prompt["3"] = {**LORA, "inputs": {"model": ["2", 0], "lora_name": "x.safetensors"}}
    size = {"width": 64, "height": 32, "length": 17, "batch_size": 1}
    prompt["13"] = {"class_type": "FVGAnchorLatentInjector", "inputs": {**size}}
    prompt["13"]["inputs"] |= {"model": ["3", 0], "image": ["9", 0]}
    prompt["14"]["inputs"] |= {**size, "model": ["13", 0], "latent": ["13", 1]}
    prompt["15"]["inputs"]["model"] = ["14", 0]
    prompt["30"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    prompt["31"] = {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}}
    return prompt


def load(tmp_path: Path, mode: str, prompt: dict, *settings: tuple[str, str]) -> Template:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(prompt))
    return Template.load(file, ALL, settings, mode=mode)


def test_t2v_is_the_video_model_alone(tmp_path: Path):
    template = load(tmp_path, "t2v", chained())
    work = template.work(Entry("a dog", size=(96, 48)), 5)
    kinds = {node["class_type"] for node in work.prompt.values()}
    assert not any("Anchor" in kind and kind != "FVGAnchoredWanSampler" for kind in kinds)
    assert not any("Rewriter" in kind for kind in kinds)
    sampler = work.prompt["15"]["inputs"]
    assert sampler["model"] == ["2", 0]  # the other LoRA stays
    empty = work.prompt[sampler["latent"][0]]
    assert sampler["latent"][1] == 0
    assert empty["class_type"] == "EmptyHunyuanLatentVideo"
    assert empty["inputs"] == {"width": 96, "height": 48, "length": 17, "batch_size": 1}
    source, slot = work.prompt["11"]["inputs"]["text"]
    assert slot == 0
    assert work.prompt[source]["inputs"] == {"value": "a dog"}
    assert (sampler["seed"], sampler["steps"]) == (5, 15)
    assert "30" not in work.prompt  # what showed the candidates
    assert work.prompt["31"]["inputs"]["source"] == [source, 0]
    assert not template.draws
    assert not template.asks
    links = [v[0] for n in work.prompt.values() for v in n["inputs"].values() if type(v) is list]
    assert set(links) <= set(work.prompt)


def test_upsampled_is_t2v_with_the_longer_prompt(tmp_path: Path):
    prompt = chained()
    prompt["5"]["inputs"]["backend"] = "clip"
    work = load(tmp_path, "upsampled", prompt).work(Entry("a dog"), 5)
    assert work.prompt["5"]["inputs"]["video_prompt"] == "upsampled"
    assert work.prompt["11"]["inputs"]["text"] == ["5", 1]
    assert not {"8", "9", "13"} & set(work.prompt)
    prompt["5"]["inputs"]["backend"] = "rules"
    with pytest.raises(BatchError, match="needs a language model"):
        load(tmp_path, "upsampled", prompt).work(Entry("a dog"), 5)


def test_fvg_is_the_template_itself(tmp_path: Path):
    fvg = load(tmp_path, "fvg", chained())
    work = fvg.work(Entry("a dog"), 5)
    assert set(work.prompt) == set(chained())
    assert fvg.draws
    assert work.key != load(tmp_path, "t2v", chained()).work(Entry("a dog"), 5).key


def test_a_picture_of_ones_own_is_not_sent_where_none_is_used(tmp_path: Path):
    work = load(tmp_path, "t2v", chained()).work(Entry("p", anchor=tmp_path / "x.png"), None)
    assert not work.uploads


def test_a_template_without_injector_has_no_other_mode(tmp_path: Path):
    prompt = chained()
    del prompt["13"], prompt["14"]
    with pytest.raises(BatchError, match="leaves nothing of this template"):
        load(tmp_path, "t2v", prompt).work(Entry("p"), None)
