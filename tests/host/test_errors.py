"""Bad input on the real server: an error that says what was given, what is expected and what to
do, and nothing half-written."""

from __future__ import annotations

import re
from pathlib import Path

import checkpoints
import pytest
import torch
from graphs import SIZE, Builder
from PIL import Image
from safetensors.torch import load_file

from fvg_core.bench.client import RejectedError, RunError

pytestmark = pytest.mark.host


def tiny(**more) -> Builder:
    graph = Builder()
    graph.world(lora=False, **more)
    return graph


class Bench:
    """Runs graphs that must fail, and looks at what they leave."""

    def __init__(self, comfy, client) -> None:
        self.comfy, self.client = comfy, client

    def files(self) -> set[str]:
        return {str(p) for p in self.comfy.output.rglob("*") if p.is_file()}

    def error(self, graph: Builder, node: str) -> str:
        """What `node` says when the graph runs; the graph writes nothing."""
        before = self.files()
        with pytest.raises(RunError) as raised:
            self.client.run(graph.graph)
        assert raised.value.node_type == node
        assert self.files() == before
        return str(raised.value)

    def injector(self, graph: Builder | None = None, **inputs) -> str:
        """What the injector says; `graph` brings a model, or else the tiny world's is used."""
        graph = graph or tiny()
        inputs = inputs if "anchor_latent" in inputs else {"image": graph.pictures(), **inputs}
        graph.inject(**inputs)
        graph.save(graph.latent, "must-not-exist")
        return self.error(graph, "FVGAnchorLatentInjector")

    def latent(self, graph: Builder, what: list, name: str) -> torch.Tensor:
        graph.save(what, name)
        self.client.run(graph.graph)
        return load_file(next(self.comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]


@pytest.fixture
def bench(comfy, client) -> Bench:
    return Bench(comfy, client)


def rewriter(prompt: str) -> Builder:
    graph = Builder()
    node = graph.add("FVGFirstFramePromptRewriter", prompt=prompt, backend="rules", seed=0)
    graph.add("PreviewAny", source=[node, 0])
    return graph


@pytest.mark.parametrize("prompt", ["", "  \n\t "])
def test_an_empty_prompt(bench, prompt):
    said = bench.error(rewriter(prompt), "FVGFirstFramePromptRewriter")
    assert "The prompt is empty. Describe the video" in said


def test_a_prompt_of_ten_thousand_words(bench):
    said = bench.error(rewriter("word " * 10_000), "FVGFirstFramePromptRewriter")
    assert "10000 words; at most 2000" in said
    assert "Shorten it" in said


@pytest.mark.parametrize(
    ("size", "given", "nearest"),
    [
        ({"width": 72}, "width is 72 pixels", "64 and 80"),
        ({"height": 100}, "height is 100 pixels", "96 and 112"),
        ({"length": 18}, "length is 18 frames", "17 and 21"),
        ({"length": 4}, "length is 4 frames", "1 and 5"),
    ],
)
def test_a_size_that_the_model_cannot_take(bench, size, given, nearest):
    said = bench.injector(**size)
    assert given in said
    assert re.search(rf"nearest valid[^.]* {nearest}\.", said)


def test_a_size_below_the_widgets_minimum_is_refused_before_the_run(bench):
    graph = tiny()
    graph.inject(image=graph.pictures(), width=8)
    graph.save(graph.latent, "must-not-exist")
    with pytest.raises(RejectedError, match=r"FVGAnchorLatentInjector.*width"):
        bench.client.run(graph.graph)


def test_a_picture_size_that_an_image_model_cannot_take(bench):
    graph = tiny()
    node = graph.add(
        "FVGAnchorImageGenerator", model=graph.image_model, clip=graph.clip, vae=graph.vae,
        prompt="a red circle", negative="", width=68, height=64, candidates=1, seed=0, steps=1,
        cfg=1.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip
    graph.add("SaveImage", images=[node, 0], filename_prefix="must-not-exist")
    said = bench.error(graph, "FVGAnchorImageGenerator")
    assert "width is 68 pixels" in said
    assert "64 and 72" in said


@pytest.mark.parametrize("frame", [17, -18, 4000])
def test_a_frame_outside_the_clip(bench, frame):
    said = bench.injector(frame="pixel frame", pixel_frame=frame)
    assert f"anchor frame {frame} lies outside a clip of 17 frames" in said
    assert "use 0 to 16, or -1 for the last" in said


@pytest.mark.parametrize("shape", [(96, 48), (48, 96)])
def test_a_picture_of_another_shape_is_cropped_padded_or_stretched(bench, shape, tmp_path: Path):
    """Against the host's own scaling, padding and encoding, bit for bit."""
    (w, h), path = shape, tmp_path / f"ramp-{shape[0]}.png"
    Image.radial_gradient("L").resize(shape).convert("RGB").save(path)
    uploaded = bench.client.upload_image(path)
    found = {}
    for rule in ("crop", "pad", "stretch"):
        graph = tiny()
        image = [graph.add("LoadImage", image=uploaded), 0]
        graph.inject(image=image, fit=rule)
        ours = bench.latent(graph, graph.latent, f"fit-{rule}-{w}")
        size = (round(w * SIZE / max(shape)), round(h * SIZE / max(shape)))
        width, height = size if rule == "pad" else (SIZE, SIZE)
        scaled = [
            graph.add(
                "ImageScale", image=image, upscale_method="lanczos", width=width, height=height,
                crop="center" if rule == "crop" else "disabled",
            ),
            0,
        ]  # fmt: skip
        if rule == "pad":
            x, y = (SIZE - width) // 2, (SIZE - height) // 2
            border = {"left": x, "right": x, "top": y, "bottom": y, "feathering": 0}
            scaled = [graph.add("ImagePadForOutpaint", image=scaled, **border), 0]
        encoded = [graph.add("VAEEncode", pixels=scaled, vae=graph.vae), 0]
        expected = bench.latent(graph, encoded, f"expected-{rule}-{w}")
        assert torch.equal(ours[:, :, :1], expected)
        found[rule] = expected
    assert (found["crop"] - found["pad"]).abs().max() > 0.1
    assert (found["crop"] - found["stretch"]).abs().max() > 0.1
    assert (found["pad"] - found["stretch"]).abs().max() > 0.1


@pytest.mark.parametrize("channels", [4, 48])
def test_an_anchor_latent_with_the_channels_of_another_model(bench, channels):
    graph = tiny()
    size = {"width": 64, "height": 64, "batch_size": 1}
    empty = {
        4: lambda: graph.add("EmptyLatentImage", **size),
        48: lambda: graph.add("Wan22ImageToVideoLatent", vae=graph.vae, length=1, **size),
    }[channels]()
    said = bench.injector(graph, anchor_latent=[empty, 0])
    assert re.search(rf"the anchor latent is \[1, {channels}, [\d, ]+\]", said)
    assert "16, 1, 8, 8]" in said
    assert "VAE of the video model" in said


def test_an_anchor_latent_of_several_frames(bench):
    graph = tiny()
    clip = graph.add("EmptyHunyuanLatentVideo", width=64, height=64, length=9, batch_size=1)
    said = bench.injector(graph, anchor_latent=[clip, 0])
    assert "the anchor latent is [1, 16, 3, 8, 8]" in said


def other_model(bench, family: str) -> Builder:
    graph = tiny()
    name = checkpoints.write(family, bench.comfy.output / "diffusion_models")
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    return graph


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("wan21_vace", ["WAN21_Vace", "VACE, which has its own reference inputs"]),
        ("wan21_camera", ["WAN21_Camera", "one timestep for all frames"]),
        ("wan22_camera", ["WAN21_Camera", "one timestep for all frames"]),
        ("wan21_fun_control", ["control variant of Wan", "48 input channels"]),
        ("ltxv", ["LTXV", "a video model of another family"]),
    ],
)
def test_a_model_that_cannot_take_anchors(bench, family, words):
    said = bench.injector(other_model(bench, family))
    assert all(word in said for word in words), said
    assert "Wan 2.1 T2V" in said  # what to load instead


def test_an_anchor_from_the_vae_of_another_model(bench):
    said = bench.injector(other_model(bench, "wan22_5b"))
    assert "the anchor latent is [1, 16, 1, 8, 8]" in said
    assert "48, 1, 4, 4]" in said


def test_the_5b_takes_multiples_of_32(bench):
    said = bench.injector(other_model(bench, "wan22_5b"), width=80)
    assert "multiples of 32" in said
    assert "64 and 96" in said


@pytest.mark.parametrize("node", ["FVGAnchoredWanSampler", "KSampler"])
def test_a_latent_of_another_model_in_the_sampler(bench, node):
    graph = tiny()
    graph.inject(image=graph.pictures())
    other = other_model(bench, "wan22_5b")
    graph.graph["other"] = other.graph[other.model[0]]
    graph.model = ["other", 0]
    if node == "KSampler":  # behind a second injector, so that the wrappers are there
        keep = graph.latent
        clip = graph.add("Wan22ImageToVideoLatent", vae=graph.vae, width=64, height=64, length=1,
                         batch_size=1)  # fmt: skip
        graph.inject(anchor_latent=[clip, 0], length=17)
        graph.latent = keep
    sampled = graph.sample() if node == "FVGAnchoredWanSampler" else graph.sample_stock()
    graph.save(sampled, "must-not-exist")
    said = bench.error(graph, node)
    assert "16 channels" in said
    assert "48" in said
    assert "Anchor Latent Injector" in said


@pytest.mark.parametrize("both", [True, False])
def test_an_image_or_an_anchor_latent(bench, both):
    graph = tiny()
    if both:
        image = graph.pictures()
        encoded = [graph.add("VAEEncode", pixels=image, vae=graph.vae), 0]
        said = bench.injector(graph, image=image, anchor_latent=encoded)
    else:
        said = bench.injector(graph, anchor_latent=None)
    assert "connect an image or an anchor_latent, exactly one of the two" in said


@pytest.mark.parametrize("change", [{"length": 9}, {"width": 96}])
def test_the_latent_of_an_injector_of_another_size(bench, change):
    graph = tiny()
    graph.inject(image=graph.pictures(), **change)
    said = bench.injector(graph, image=graph.pictures(), latent=graph.latent, frame="last")
    assert "[16, 3, 8, 8]" in said if "length" in change else "[16, 5, 8, 12]" in said
    assert "[16, 5, 8, 8]" in said
    assert "set the same width, height and length in both" in said


def test_pictures_that_do_not_match_the_batch(bench):
    graph = tiny()
    graph.inject(image=graph.pictures(3))
    said = bench.injector(graph, image=graph.pictures(2), latent=graph.latent, frame="last")
    assert "[2, 16, 1, 8, 8]" in said
    assert "[1 or 3, 16, 1, 8, 8]" in said


def test_a_guidance_interval_that_ends_before_it_starts(bench):
    graph = tiny()
    graph.inject(image=graph.pictures())
    sampled = graph.sample(guidance_start=0.8, guidance_end=0.2)
    graph.save(sampled, "must-not-exist")
    said = bench.error(graph, "FVGAnchoredWanSampler")
    assert "set guidance_start below guidance_end" in said
