"""Where candidates come from, on the real server: models, pipelines, own pictures, and mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from drawn import NODE, SETTINGS, Studio
from graphs import SIZE, Builder
from PIL import Image
from safetensors.torch import load_file
from small_pipeline import save_pipeline

from fvg_core.bench.client import RunError

pytestmark = pytest.mark.host

LEVEL = 1 / 255


_SIZE = {
    "negative": "", "width": 96, "height": 48, "candidates": 1, "seed": 0, "steps": 1, "cfg": 1.0,
    "sampler_name": "euler", "scheduler": "simple",
}  # fmt: skip


@pytest.fixture
def studio(comfy, client) -> Studio:
    return Studio(comfy, client)


@pytest.mark.parametrize("kind", ["video-style latents", "ordinary latents"])
def test_a_candidate_is_the_picture_of_the_stock_nodes(studio, kind):
    graph = studio.world(counted=False)
    if kind == "ordinary latents":
        flux = graph.add("FVGSmallFlux", clip=graph.clip)
        graph.image_model, graph.vae = [flux, 0], [flux, 1]
    together = studio.run(graph, candidates=2, batch=2)
    text = {"clip": graph.clip, "text": studio.prompt}
    conditions = {
        "positive": [graph.add("CLIPTextEncode", **text), 0],
        "negative": [graph.add("CLIPTextEncode", **{**text, "text": ""}), 0],
    }
    empty = [graph.add("EmptyLatentImage", width=SIZE, height=SIZE, batch_size=1), 0]
    sampled = graph.add(
        "KSampler", model=graph.image_model, latent_image=empty, seed=6, steps=2, cfg=2.0,
        sampler_name="euler", scheduler="simple", denoise=1.0, **conditions,
    )  # fmt: skip
    decoded = [graph.add("VAEDecode", samples=[sampled, 0], vae=graph.vae), 0]
    graph.add("FVGSavePictures", images=decoded, name=studio.name)
    studio.client.run(graph.graph)
    stock = load_file(studio.output / f"{studio.name}.safetensors")["images"]
    assert stock.std() > 0.01
    assert (together.images[1:] - stock).abs().max() <= 2 * LEVEL


def drawn_with(studio, *, most: int, **inputs):
    graph = studio.world(counted=False)
    memory = {"most": most, "name": f"{studio.name}-drawn"}
    graph.image_model = [graph.add("FVGSmallMemory", model=graph.image_model, **memory), 0]
    return studio.run(graph, **inputs)


def test_a_picture_of_a_batch_is_the_same_as_alone(studio):
    together = drawn_with(studio, most=8, candidates=5, batch=4)
    assert studio.notes("drawn") == [4, 1]
    shutil.rmtree(together.folder)
    alone = drawn_with(studio, most=8, candidates=5)
    assert studio.notes("drawn")[2:] == [1] * 5
    assert (together.images - alone.images).abs().max() <= 2 * LEVEL


def test_noise_on_the_way_is_drawn_for_each_alone(studio):
    inputs = {"sampler_name": "euler_ancestral", "candidates": 2}
    together = drawn_with(studio, most=8, batch=2, **inputs)
    assert studio.notes("drawn") == [1, 1]
    shutil.rmtree(together.folder)
    alone = drawn_with(studio, most=8, **{**inputs, "candidates": 1, "seed": 6})
    assert torch.equal(together.images[1:], alone.images)


def test_a_batch_that_does_not_fit_the_memory_is_halved(studio):
    drawn = drawn_with(studio, most=2, candidates=5, batch=5)
    assert studio.notes("drawn") == [5, 2, 2, 1]
    assert len(drawn.images) == 5
    with pytest.raises(RunError, match="out of memory"):
        drawn_with(studio, most=0, seed=100)


def test_own_pictures_are_fitted_kept_and_found(studio):
    def run(**inputs):
        graph = Builder()
        made = studio.counted(graph, graph.pictures(3), "pictures")
        node = graph.add(NODE, prompt="", **{**_SIZE, "pictures": made, **inputs})
        return studio.result(graph, node)

    first, again = run(), run()
    assert studio.asked("pictures") == 1
    assert torch.equal(first.images, again.images)
    assert first.seeds == ""
    assert [path.name for path in first.files] == [f"picture-{i:02d}.png" for i in range(3)]
    assert run(fit="pad").folder != first.folder
    # A recipe that nobody can read: how many there are is not known, so they are asked for.
    (first.folder / "recipe.json").write_text("{")
    assert torch.equal(run().images, first.images)
    assert studio.asked("pictures") == 3


def test_a_list_of_pictures_is_one_set(studio):
    """They need not be of one size."""

    def run():
        graph = Builder()
        lists = graph.add("FVGLists", text=studio.name)
        made = studio.counted(graph, [lists, 0], "pictures")
        return studio.result(graph, graph.add(NODE, prompt="", **{**_SIZE, "pictures": made}))

    first, again = run(), run()
    assert first.images.shape == (2, 48, 96, 3)
    shades = [float(picture.mean()) for picture in first.images]
    assert shades == pytest.approx([64 / 255, 128 / 255], abs=1.01 * LEVEL)  # Lanczos cuts levels
    assert torch.equal(first.images, again.images)
    assert studio.asked("pictures") == 2  # once for each in the list, at the first run


def test_a_list_of_prompts_makes_a_set_for_each(studio):
    graph = studio.world()
    lists = graph.add("FVGLists", text=studio.prompt)
    node = studio.generator(graph, prompt=[lists, 1], candidates=2)
    folders = graph.add("PreviewAny", source=[node, 2])
    graph.add("PreviewImage", images=[node, 0])
    result = studio.client.run(graph.graph)
    assert len(result.files(node)) == 4
    assert len({file.subfolder for file in result.files(node)}) == 2
    assert folders in result.outputs


def test_candidates_of_other_candidates(studio):
    """Pictures of another generator: its batch does not count, its seed does."""

    def run(**inputs):
        graph = studio.world(counted=False)
        first = studio.generator(graph, candidates=2, **inputs)
        node = graph.add(NODE, prompt="", **{**_SIZE, "pictures": [first, 0]})
        return studio.result(graph, node)

    drawn = run()
    assert drawn.images.shape == (2, 48, 96, 3)
    assert run(batch=2).folder == drawn.folder
    assert run(seed=6).folder != drawn.folder


def test_a_folder_of_own_pictures(studio):
    folder = studio.input / studio.name
    folder.mkdir()
    Image.radial_gradient("L").resize((96, 96)).save(folder / "b.jpg")
    Image.new("RGBA", (48, 96), "#3060c0").save(folder / "A.png")
    Image.fromarray(np.full((48, 96), 257 * 100, dtype=np.uint16)).save(folder / "c.png")
    (folder / "notes.txt").write_text("no picture")
    own = {**_SIZE, "picture_folder": studio.name}
    drawn = studio.own(**own)
    assert drawn.folder.name.startswith(studio.name[:10])
    assert drawn.images.shape == (3, 48, 96, 3)
    blue = torch.tensor([0x30, 0x60, 0xC0]) / 255
    assert torch.equal(drawn.images[0], blue.expand(48, 96, 3))
    assert (drawn.images[2] - 100 / 255).abs().max() <= LEVEL
    padded = studio.own(**{**own, "fit": "pad"})
    assert torch.equal(padded.images[0, :, 0], torch.full((48, 3), 128 / 255))
    (folder / "b.jpg").unlink()
    assert len(studio.own(**own).images) == 2


@pytest.mark.parametrize("way", ["a folder by a link", "a loader of another pack"])
def test_own_pictures_that_change_are_read_again(studio, tmp_path, way):
    folder = studio.input / studio.name
    folder.mkdir()
    named = tmp_path / "picture.txt"

    def put(shade: int) -> None:
        Image.new("L", (SIZE, SIZE), shade).save(folder / "a.png")
        named.write_text(f"shade {shade}")

    def run() -> torch.Tensor:
        graph = Builder()
        link = [graph.add("PrimitiveString", value=studio.name), 0]
        own = {"picture_folder": link}
        if way == "a loader of another pack":
            own = {"pictures": [graph.add("PictureAtPath", path=str(named)), 0]}
        node = graph.add(NODE, prompt=studio.prompt, **{**SETTINGS, "width": SIZE, **own})
        return studio.result(graph, node).images

    put(100)
    first = run()
    assert torch.equal(run(), first)
    put(200)
    assert (run() - first).abs().max() > 0.1


@pytest.fixture(scope="module")
def pipeline(comfy) -> Iterator[str]:
    """Its name; gone again afterwards, because the host lists it."""
    folder = save_pipeline(comfy.output / "diffusers" / "small-sd")
    yield folder.name
    shutil.rmtree(folder)


def test_a_pipeline_of_diffusers(studio, pipeline):
    node = studio.client.object_info()[NODE]
    kind, *more = node["input"]["optional"]["pipeline"]
    assert (kind if isinstance(kind, list) else more[0]["options"]) == ["none", pipeline]
    settings = {"pipeline": pipeline, "width": 32, "height": 32}
    together = studio.own(**settings, batch=3)
    assert together.images.shape == (3, 32, 32, 3)
    assert together.seeds == "5, 6, 7"
    recipe = json.loads((together.folder / "recipe.json").read_text())
    assert recipe["pipeline"] == pipeline
    assert "diffusers" in recipe["versions"]
    assert "sampler_name" not in recipe
    found = studio.own(**settings, sampler_name="heun")
    assert found.files == together.files
    shutil.rmtree(together.folder)
    alone = studio.own(**settings)
    assert alone.folder == together.folder
    assert (alone.images - together.images).abs().max() <= 2 * LEVEL
    assert (alone.images[0] - alone.images[1]).abs().max() > 0.05


def test_a_pipeline_is_released_before_the_next_node(studio, pipeline):
    graph = Builder()
    size = {"width": 32, "height": 32, "pipeline": pipeline}
    node = graph.add(NODE, prompt=studio.prompt, **{**SETTINGS, **size})
    graph.add("FVGWeightsAlive", after=[node, 0], name=f"{studio.name}-alive")
    studio.client.run(graph.graph)
    assert studio.notes("alive") == [0]


def error(studio, **inputs) -> str:
    """What the node says; it writes nothing and asks for no model."""
    places = studio.output / "fvg" / "anchors", studio.input
    before = [sorted(place.rglob("*")) for place in places]
    with pytest.raises(RunError) as raised:
        studio.run(**inputs)
    assert raised.value.node_type == NODE
    assert [sorted(place.rglob("*")) for place in places] == before
    return str(raised.value)


def test_one_source_and_a_whole_one(studio, pipeline):
    none = dict.fromkeys(("model", "clip", "vae"))
    assert "given: none" in error(studio, **none)
    assert "given: model, pipeline" in error(studio, pipeline=pipeline)
    assert "given: model, picture_folder" in error(studio, picture_folder="mine")
    assert "model and vae connected, clip not" in error(studio, clip=None)
    assert studio.asked() == 0


@pytest.mark.parametrize("folder", ["..", "../output", "/etc", ".", "a/../..", "nul\0"])
def test_a_folder_outside_the_input_is_not_read(studio, folder):
    none = dict.fromkeys(("model", "clip", "vae"))
    said = error(studio, **none, picture_folder=folder)
    assert "picture_folder is" in said


def test_a_folder_without_pictures_and_one_that_is_none(studio):
    none = dict.fromkeys(("model", "clip", "vae"))
    assert "is not a folder" in error(studio, **none, picture_folder=studio.name)
    (studio.input / studio.name).mkdir()
    assert "holds 0 pictures" in error(studio, **none, picture_folder=studio.name)
    (studio.input / studio.name / "a.png").write_bytes(b"no picture")
    with pytest.raises(RunError, match=r"a\.png cannot be read as a picture"):
        studio.own(picture_folder=studio.name)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("1, 2, 3, 4", "seeds names 4 candidates and candidates is 3"),
        ("1, two", "'two'"),
        ("-1", "'-1'"),
        (str(2**64), "whole number from 0 to"),
    ],
)
def test_seeds_that_are_none(studio, seeds, said):
    assert said in error(studio, seeds=seeds)
    assert studio.asked() == 0
