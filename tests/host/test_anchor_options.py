"""Anchor Options in a real ComfyUI: the negative branch is shown no anchor, all else stays."""

from __future__ import annotations

from collections.abc import Iterable

import checkpoints
import pytest
import test_cogvideox as cog
import torch
from graphs import LATENT_FRAMES, LORA, Builder
from pairs import Experts, Pair, write_other
from test_hold import DRIFT, Outcome, _check_latents, normalised
from test_native_5b import write_random

from fvg_core.bench.client import RunError

pytestmark = pytest.mark.host

POSITIVE, NEGATIVE = 0, 1


@pytest.fixture
def runner(comfy, client) -> Experts:
    return Experts(comfy, client)


@pytest.fixture(scope="module")
def other(comfy) -> str:
    return write_other(comfy.output / "diffusion_models")


def options(graph: Builder, on: bool = True) -> None:
    graph.wrap("FVGAnchorOptions", negative_without_anchor=on)


def world(batch: int = 1, *, wrapped: str = "after the injector", **where) -> Builder:
    """The tiny world with its anchor and, somewhere, the node."""
    graph = Builder()
    graph.world(lora=False)
    if wrapped == "before the LoRA":
        options(graph)
    graph.wrap("LoraLoaderModelOnly", lora_name=LORA, strength_model=1.0)
    if wrapped == "before the injector":
        options(graph)
    graph.inject(image=graph.pictures(batch), **where)
    if wrapped == "after the injector":
        options(graph)
    return graph


def rows(call: dict, branch: int, batch: int) -> list[int]:
    """The rows of a call that belong to a branch of guidance."""
    return [i for i in range(len(call["x"])) if call["branch"][i // batch] == branch]


def check(outcome: Outcome, anchors: list[int], drift: float = DRIFT, clean=None) -> None:
    """The positive branch has the clean anchors at time 0; the negative one has them under noise at
    the time of all other frames; what comes out holds them."""
    clean = normalised(outcome.clean) if clean is None else clean
    batch = len(clean)
    seen = set()
    for call in outcome.calls:
        sigma, frames = float(call["sigma"][0]), call["frames"].tolist()
        for i in rows(call, POSITIVE, batch):
            for k in {*frames} & {*anchors}:
                given = call["x"][i, :, frames.index(k)]
                torch.testing.assert_close(given, clean[i % batch, :, k], rtol=0, atol=1e-6)
                assert call["t"][i, frames.index(k)] == 0
                seen.add(POSITIVE)
        for i in rows(call, NEGATIVE, batch):
            torch.testing.assert_close(call["t"][i], torch.full_like(call["t"][i], sigma * 1000))
            for k in {*frames} & {*anchors}:
                given = call["x"][i, :, frames.index(k)]
                noise = (given - (1 - sigma) * clean[i % batch, :, k]) / sigma
                assert 0.9 < noise.std() < 1.1
                seen.add(NEGATIVE)
    assert seen == {POSITIVE, NEGATIVE}
    _check_latents(outcome, anchors, drift)


@pytest.mark.parametrize("wrapped", ["before the LoRA", "before the injector"])
def test_wherever_the_node_stands(runner, wrapped):
    outcome = runner.finish(world(wrapped=wrapped))
    check(outcome, [0])
    assert torch.equal(outcome.final, runner.finish(world()).final)


@pytest.mark.parametrize("stock", [True, False])
@pytest.mark.parametrize("sampler", ["euler_cfg_pp", "dpmpp_2m_sde", "res_multistep"])
def test_samplers(runner, sampler, stock):
    check(runner.finish(world(), stock=stock, sampler_name=sampler), [0])


def test_several_anchors_and_videos(runner):
    graph = world(3, frame="last", wrapped="")
    graph.inject(image=graph.pictures(3), latent=graph.latent)
    options(graph)
    outcome = runner.finish(graph)
    assert len(outcome.clean) == 3
    check(outcome, [0, LATENT_FRAMES - 1])


@pytest.mark.parametrize("frame", ["first", "last"])
def test_plain_tensors_give_the_same_video(runner, frame):
    """Two calls of the bare model for each step, and noise that is added by hand. Three steps: each
    late one makes some five times as much of what two calls and one batch round differently."""
    graph, result = world(2, frame=frame), runner.name()
    sigmas = [
        graph.add("BasicScheduler", model=graph.model, scheduler="simple", steps=3, denoise=1.0), 0
    ]  # fmt: skip
    reference = graph.add(
        "FVGReferenceEuler", model=graph.model, positive=graph.positive, negative=graph.negative,
        latent=graph.latent, frame={"first": 0, "last": LATENT_FRAMES - 1}[frame], seed=1, cfg=3.0,
        sigmas=sigmas, name=runner.name(), negative_without_anchor=True,
    )  # fmt: skip
    graph.save([reference, 0], result)
    outcome = runner.finish(graph, sigmas=sigmas, cfg=3.0)
    ours, theirs = map(normalised, (outcome.final, runner.latent(result)))
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_a_softened_anchor(runner):
    """The negative branch has it as noisy as all else; the video keeps it nearly."""
    outcome = runner.finish(world(anchor_noise=0.2))
    for call in outcome.calls:
        (negative,), (positive,) = rows(call, NEGATIVE, 1), rows(call, POSITIVE, 1)
        torch.testing.assert_close(call["t"][positive, 0], call["t"][positive, 1] * 0.2)
        assert (call["t"][negative] == call["t"][negative, 1]).all()
    assert (outcome.final - outcome.clean)[:, :, 0].abs().mean() < outcome.clean[:, :, 0].std()


@pytest.mark.parametrize("wrapped", ["", "after the injector"])
def test_a_model_that_knows_the_video_makes_it_with_a_softened_anchor(runner, wrapped):
    """What the negative branch predicts of that frame is whole: it was shown no part of it."""
    graph = world(anchor_noise=0.2, wrapped=wrapped)
    graph.wrap("FVGOracle", latent=graph.latent)
    video, final = runner.name(), runner.name()
    graph.save(graph.latent, video)
    graph.save(graph.sample(), final)
    runner.run(graph)
    torch.testing.assert_close(runner.latent(final), runner.latent(video), rtol=0, atol=1e-4)


def test_step_cache_and_context_windows(runner):
    graph = world(wrapped="")
    cache = {"reuse_threshold": 0.4, "start_percent": 0.1, "end_percent": 0.95, "verbose": False}
    graph.wrap("EasyCache", **cache)
    options(graph)
    outcome = runner.finish(graph, steps=12)
    assert len(outcome.calls) < 12, "the cache never skipped a step, so this test shows nothing"
    check(outcome, [0])
    graph = world()
    graph.wrap(
        "WanContextWindowsManual", context_length=9, context_overlap=5, context_stride=1,
        context_schedule="standard_static", closed_loop=False, fuse_method="pyramid",
        freenoise=False, split_conds_to_windows=False, retain_first_frame=False,
    )  # fmt: skip
    outcome = runner.finish(graph)
    assert len({tuple(c["frames"].tolist()) for c in outcome.calls}) > 1
    check(outcome, [0])


def videos(runner: Experts, graphs: Iterable[tuple[Builder, dict]]) -> list[torch.Tensor]:
    return [runner.video(graph, graph.sample(**settings)) for graph, settings in graphs]


def test_without_effect(runner):
    """Switched off, at cfg 1, and where nothing is anchored: the same bits as without the node."""
    off = world(wrapped="")
    options(off)  # the later one counts
    options(off, on=False)
    plain, switched_off, on = videos(runner, [(world(wrapped=""), {}), (off, {}), (world(), {})])
    assert torch.equal(plain, switched_off)
    assert (plain - on).abs().max() > 0.05
    given = [(world(wrapped=w), {"cfg": 1.0}) for w in ("", "after the injector")]
    assert torch.equal(*videos(runner, given))
    for graph, _ in given:
        size = {"width": 64, "height": 64, "length": 17, "batch_size": 1}
        graph.latent = [graph.add("EmptyHunyuanLatentVideo", **size), 0]
    assert torch.equal(*videos(runner, [(graph, {"cfg": 3.0}) for graph, _ in given]))


@pytest.mark.parametrize("branch", ["positive", "negative"])
def test_a_prompt_for_an_area_keeps_the_anchor_everywhere(runner, branch):
    """The host fills the area in the other branch under the same id."""
    graphs = [world(wrapped=wrapped) for wrapped in ("", "after the injector")]
    for graph in graphs:
        area = graph.add(
            "ConditioningSetArea", conditioning=getattr(graph, branch), strength=1.0,
            width=64, height=64, x=0, y=0,
        )  # fmt: skip
        setattr(graph, branch, [area, 0])
    assert torch.equal(*videos(runner, [(graph, {"cfg": 3.0}) for graph in graphs]))


def test_guidance_of_more_than_two_prompts_keeps_the_anchor_everywhere(runner):
    """In PerpNeg's differences of three predictions the anchor would count as part of a prompt."""
    outcomes = []
    for wrapped in ("", "after the injector"):
        graph, probe, final = world(wrapped=wrapped), runner.name(), runner.name()
        graph.wrap("FVGProbe", name=probe)
        prompts = {"positive": graph.positive, "negative": graph.negative}
        guider = graph.add(
            "PerpNegGuider", model=graph.model, **prompts, empty_conditioning=graph.negative,
            cfg=4.0, neg_scale=1.0,
        )  # fmt: skip
        schedule = {"scheduler": "simple", "steps": 2, "denoise": 1.0}
        parts = {
            "noise": graph.add("RandomNoise", noise_seed=1),
            "sampler": graph.add("KSamplerSelect", sampler_name="euler"),
            "sigmas": graph.add("BasicScheduler", model=graph.model, **schedule),
            "guider": guider,
        }
        parts = {name: [node, 0] for name, node in parts.items()}
        sampled = graph.add("SamplerCustomAdvanced", **parts, latent_image=graph.latent)
        graph.save([sampled, 0], final)
        runner.run(graph)
        outcomes.append(runner._seen(probe, runner.latent(final), runner.latent(final)))
    for plain, call in zip(*(o.calls for o in outcomes), strict=True):
        assert {*call["branch"].tolist()} == {0, 1, 2}
        assert torch.equal(call["x"], plain["x"])
        assert torch.equal(call["t"], plain["t"])


def test_one_node_serves_both_experts(runner, other):
    """Carried over to the low-noise expert, and the same as plain tensors give."""
    graph = Pair(other)
    options(graph)
    high, low = runner.pair_as_plain_tensors(graph, negative_without_anchor=True)
    for expert in (high, low):
        check(Outcome(high.clean, high.final, high.unpinned, expert.calls), [0])


def test_an_expert_with_a_node_of_its_own_keeps_what_it_says(runner, other):
    graph = Pair(other)
    options(graph)
    graph.low = [
        graph.add("FVGAnchorOptions", model=graph.low, negative_without_anchor=False), 0
    ]  # fmt: skip
    high, low = runner.pair(graph)
    check(high, [0])
    assert all((call["t"][:, 0] == 0).all() for call in low.calls)


def test_two_stock_samplers_by_hand_give_the_same_video(runner, other):
    """The second one is handed a clean anchor and no noise, and its negative branch sees the anchor
    as noisy as in one run."""
    both = []
    for _ in range(2):
        graph = Pair(other)
        options(graph)
        graph.low = [
            graph.add("FVGAnchorOptions", model=graph.low, negative_without_anchor=True),
            0,
        ]
        both.append(graph)
    ours = runner.video(both[0], both[0].sample_pair())
    high, low = runner.pair(both[1], Pair.sample_by_hand)
    check(Outcome(high.clean, high.final, low.unpinned, low.calls), [0])
    assert (ours - high.final).abs().max() <= 1e-4 * ours.abs().max()


def test_wan22_5b(runner):
    graph = Builder()
    graph.world(lora=False)
    name = write_random(runner.comfy.output / "diffusion_models")
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    latent = [graph.add("FVGRandomLatent", channels=48, size=4, seed=1), 0]
    graph.inject(anchor_latent=latent)
    options(graph)
    outcome = runner.finish(graph)
    clean = outcome.calls[0]["x"][rows(outcome.calls[0], POSITIVE, 1)]  # in the model's units
    check(outcome, [0], clean=clean)


@pytest.mark.parametrize(("length", "pairs", "frames"), [(17, [0], [0]), (21, [0], [0, 1])])
def test_cogvideox(runner, length, pairs, frames):
    graph = cog.anchored(runner.comfy, 2, length=length)
    options(graph)
    outcome = runner.finish(graph)
    clean = cog.in_front(outcome.clean)[:, :, :2]
    drawn = []
    for call in outcome.calls:
        text, *times = call["t"].view(len(call["x"]), -1).unbind(1)
        sigma = float(call["sigma"][0])
        a = (1 + sigma**2) ** -0.5
        for i in rows(call, POSITIVE, 2):
            torch.testing.assert_close(call["x"][i, :, :2], clean[i % 2], rtol=0, atol=1e-6)
            assert times[0][i] == 0
        negative = rows(call, NEGATIVE, 2)
        assert all((t[negative] == text[negative]).all() for t in times)
        drawn.append((call["x"][negative, :, :2] - a * clean) / (a * sigma))
    for noise in drawn:
        assert 0.9 < noise.std() < 1.1
        torch.testing.assert_close(noise, drawn[0], rtol=0, atol=5e-3)
    cog.check_latents(outcome, frames)


def test_a_model_that_takes_the_picture_by_itself_is_refused(comfy, client):
    graph = Builder()
    graph.world(lora=False)
    name = checkpoints.write_image_to_video(comfy.output / "diffusion_models", clip_vision=True)
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    picture = graph.pictures()
    graph.inject(image=picture)
    options(graph)
    graph.save(graph.sample(), "must-not-exist")
    with pytest.raises(RunError, match="I2V of another size takes the picture"):
        client.run(graph.graph)
