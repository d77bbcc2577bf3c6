"""Pipelines that diffusers saved: drawn from, and refused where they bring more than weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_pipeline import save_pipeline

from fvg_core.errors import SizeError, WeightsError
from fvg_core.image.pipeline import draw, list_pipelines, load_pipeline, weight_bytes

SIZE = {"width": 32, "height": 16}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipelines") / "small")


@pytest.fixture(scope="module")
def pipeline(saved):
    return load_pipeline(saved, torch.float32)


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copied"))


def drawn(pipeline, seeds, **more) -> torch.Tensor:
    settings = {"steps": 2, "cfg": 4.0, "on_step": lambda step: None, **SIZE, **more}
    prompt = settings.pop("prompt", "a red ball")
    return draw(pipeline, prompt, settings.pop("negative", ""), seeds=seeds, **settings)


def test_a_picture_of_a_batch_is_the_same_as_alone(pipeline):
    both = drawn(pipeline, [3, 2**64 - 1])
    assert both.shape == (2, 16, 32, 3)
    assert 0 <= both.min() < both.max() <= 1
    alone = drawn(pipeline, [2**64 - 1])
    assert (both[1] - alone[0]).abs().max() < 1e-5
    assert (both[1] - both[0]).abs().max() > 0.05


def test_prompt_negative_and_guidance_count(pipeline):
    plain = drawn(pipeline, [3])
    for change in ({"prompt": "blue"}, {"negative": "blue"}, {"cfg": 9.0}, {"steps": 3}):
        assert (drawn(pipeline, [3], **change) - plain).abs().max() > 1e-3, change


def test_every_step_is_told_and_can_be_the_last(pipeline):
    told = []
    drawn(pipeline, [3], steps=4, on_step=told.append)
    assert told == [1, 2, 3, 4]

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(pipeline, [3], on_step=stop)


def test_the_guidance_of_qwen_image_has_another_name():
    """What the pipeline is called with, without its 20 billion parameters."""
    asked = {}

    class QwenImagePipeline:
        def __call__(self, prompt, negative_prompt, true_cfg_scale=4.0, guidance_scale=None,
                     width=0, height=0, generator=None):  # fmt: skip
            asked.update(locals())
            return type("Made", (), {"images": torch.zeros(1, height, width, 3)})

    drawn(QwenImagePipeline(), [3], cfg=2.5)
    assert (asked["true_cfg_scale"], asked["guidance_scale"]) == (2.5, None)
    assert asked["negative_prompt"] == [""]


def test_memory(pipeline, saved):
    files = sum(path.stat().st_size for path in saved.rglob("*.safetensors"))
    assert weight_bytes(pipeline) == pytest.approx(files, rel=0.2)


def test_pipelines_are_listed_by_name(copied, tmp_path):
    shutil.copytree(copied, tmp_path / "maker" / "small")
    (tmp_path / "empty").mkdir()
    assert list_pipelines([tmp_path, tmp_path / "none"]) == {
        "copied": copied,
        "maker/small": tmp_path / "maker" / "small",
    }


def test_a_size_that_the_pipeline_changes_is_refused():
    class Other:
        def __call__(self, prompt):
            return type("Made", (), {"images": torch.zeros(1, 24, 32, 3)})

    with pytest.raises(SizeError, match=r"made \[24, 32\] pixels .* instead of \[16, 32\]"):
        drawn(Other(), [3])


def index_of(folder: Path, **changes) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def pickled(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))


def one_pickled(folder: Path) -> None:
    """One that would load: the others are whole, and this is what torch.save makes."""
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "unet" / "diffusers.py").write_text("boom"), "its own code"),
        (pickled, "no safetensors weights"),
        (one_pickled, "cannot be loaded"),
        (lambda f: index_of(f, unet=["subprocess", "Popen"]), "'subprocess'"),
        (lambda f: index_of(f, unet=[["os"], "x"]), "only diffusers and transformers"),
        (lambda f: index_of(f, unet=["diffusers", "NoSuchModel"]), "cannot be loaded"),
        (lambda f: index_of(f, _class_name=["own.py", "Pipe"]), "does not have"),
        (lambda f: index_of(f, _class_name="UNet2DConditionModel"), "does not have"),
        (lambda f: (f / "model_index.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "model_index.json").write_text("[]"), "is not a JSON object"),
        (lambda f: (f / "vae" / "config.json").unlink(), "cannot be loaded"),
        (shutil.rmtree, "there is no pipeline folder"),
    ],
)
def test_a_folder_that_is_damaged_or_not_safe(copied, harm, said):
    harm(copied)
    with pytest.raises(WeightsError, match=said):
        load_pipeline(copied, torch.float32)
