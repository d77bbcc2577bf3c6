"""The hold, in a real ComfyUI: every sampler, both guidance branches, caches, windows, LoRA.

A probe behind all wrappers records what the model was given at every call, and the latent before
the final pin: the pin alone would make any comparison of the result pass.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from graphs import LATENT_FRAMES, Builder
from safetensors.torch import load_file

from fvg_core.bench.client import RunError

pytestmark = pytest.mark.host

# They stop at sigma_min instead of 0 and return the noisy state there: every frame, anchored or
# not, stays noisy, with the stock sampler as well as with ours.
STOPS_EARLY = {"dpm_fast", "dpm_adaptive"}
# A multistep solver that extrapolates over the last step; the pin corrects what is left.
EXTRAPOLATES = {"uni_pc", "uni_pc_bh2"}
DRIFT, EXTRAPOLATED_DRIFT = 1e-5, 2e-2


@dataclass
class Outcome:
    """One anchored run. Latents [B, C, F, h, w]; `calls` as the probe recorded them."""

    clean: torch.Tensor
    final: torch.Tensor
    unpinned: torch.Tensor
    calls: list[dict[str, torch.Tensor]]


class Runner:
    """Builds a graph, runs it on the server, reads what it left."""

    def __init__(self, comfy, client) -> None:
        self.comfy, self.client = comfy, client

    def name(self) -> str:
        return f"hold-{uuid.uuid4().hex}"

    def run(self, graph: Builder) -> None:
        self.client.run(graph.graph)

    def latent(self, name: str) -> torch.Tensor:
        return load_file(next(self.comfy.output.glob(f"{name}_*.latent")))["latent_tensor"]

    def finish(self, graph: Builder, *, stock: bool = False, **sampling) -> Outcome:
        """Sample the graph's model and latent behind a probe."""
        return self.watch(graph, Builder.sample_stock if stock else Builder.sample, **sampling)

    def watch(self, graph: Builder, sample: Callable[..., list], **sampling) -> Outcome:
        """The same by a method of Builder."""
        probe, clean, final = self.name(), self.name(), self.name()
        graph.save(graph.latent, clean)
        graph.wrap("FVGProbe", name=probe)
        graph.save(sample(graph, **sampling), final)
        self.run(graph)
        record = load_file(self.comfy.output / f"{probe}.safetensors")
        calls = [{} for key in record if key.startswith("branch")]
        for key, tensor in record.items():
            if key[-1].isdigit():  # "x0003": of the call with that number
                calls[int(key[-4:])][key[:-4]] = tensor
        return Outcome(self.latent(clean), self.latent(final), record["unpinned"], calls)


@pytest.fixture
def runner(comfy, client) -> Runner:
    return Runner(comfy, client)


def check(outcome: Outcome, anchors: Sequence[int], drift: float = DRIFT) -> None:
    """Claims (a), (b) and (c) of the hold. `anchors`: latent frames."""
    clean = normalised(outcome.clean)
    batch = len(outcome.clean)
    assert outcome.calls
    branches = set()
    for call in outcome.calls:
        frames, t = call["frames"].tolist(), call["t"]
        branches.update(call["branch"].tolist())
        assert t.shape == (batch * len(call["branch"]), len(frames))
        for row in range(len(t)):
            for i, frame in enumerate(frames):
                if frame in anchors:
                    expected = clean[row % batch, :, frame]
                    torch.testing.assert_close(call["x"][row, :, i], expected, rtol=0, atol=1e-6)
                    assert t[row, i] == 0
                else:
                    torch.testing.assert_close(t[row, i], call["sigma"][0].to(t) * 1000)
    assert branches == {0, 1}  # conditional and unconditional
    _check_latents(outcome, anchors, drift)


def _check_latents(outcome: Outcome, anchors: Sequence[int], drift: float) -> None:
    held = [*anchors]
    free = [f for f in range(outcome.clean.shape[2]) if f not in anchors]
    error = (outcome.unpinned - outcome.clean)[:, :, held].abs().max()
    assert error <= drift, f"drift {error:.2e}"
    assert torch.equal(outcome.final[:, :, held], outcome.clean[:, :, held])
    assert outcome.final.isfinite().all()
    assert all((outcome.final[:, :, f] - outcome.clean[:, :, 0]).abs().max() > 1e-2 for f in free)


def normalised(latent: torch.Tensor) -> torch.Tensor:
    """In the model's units: by the mean and deviation of Wan's published latents, from diffusers'
    copy of its configuration."""
    import inspect

    from diffusers import AutoencoderKLWan

    defaults = inspect.signature(AutoencoderKLWan.__init__).parameters
    mean, std = (
        torch.tensor(defaults[k].default).view(1, -1, 1, 1, 1)
        for k in ("latents_mean", "latents_std")
    )
    return (latent - mean) / std


def _anchored(batch: int = 1, **where) -> Builder:
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures(batch), **where)
    return graph


def test_every_sampler_of_the_host(runner, client):
    names = client.object_info()["KSampler"]["input"]["required"]["sampler_name"][0]
    assert set(names) >= STOPS_EARLY | EXTRAPOLATES
    failures = {}
    for name in names:
        if name in STOPS_EARLY:
            continue
        try:
            outcome = runner.finish(_anchored(), sampler_name=name)
            check(outcome, [0], EXTRAPOLATED_DRIFT if name in EXTRAPOLATES else DRIFT)
        except Exception as error:
            failures[name] = repr(error)[:300]
    assert not failures


@pytest.mark.parametrize("sampler", ["euler", "uni_pc", "dpmpp_2m_sde", "res_multistep"])
def test_stock_ksampler(runner, sampler):
    outcome = runner.finish(_anchored(), stock=True, sampler_name=sampler)
    check(outcome, [0], EXTRAPOLATED_DRIFT if sampler in EXTRAPOLATES else DRIFT)


def test_a_solver_that_works_in_float64(runner):
    """Those of other packs do. The model is asked with the same clean bits, and the frame is kept
    as exactly; the rest is what float32 gives, but for rounding."""
    graph = _anchored()
    double = [graph.add("FVGDoubleEuler"), 0]
    outcome = runner.watch(graph, Builder.sample_custom, sampler=double)
    check(outcome, [0])
    single = runner.finish(_anchored(), stock=True).final
    assert (outcome.final - single).abs().max() <= 1e-3 * single.abs().max()


@pytest.mark.parametrize("node", ["WanPhantomSubjectToVideo", "BerniniConditioning"])
def test_prompts_with_frames_of_their_own_are_refused(runner, node):
    """The host lays them beside the video's, and would spread the frames' timesteps over both."""
    graph = _anchored()
    size = {"width": 64, "height": 64, "length": 17, "batch_size": 1}
    pictures = {"images": graph.pictures()}
    if node == "BerniniConditioning":
        pictures = {"reference_images.reference_image_0": graph.pictures()}
    made = graph.add(
        node, positive=graph.positive, negative=graph.negative, vae=graph.vae, **size, **pictures
    )
    graph.positive, graph.negative = [made, 0], [made, 1]
    with pytest.raises(RunError, match="pictures of its own"):
        runner.finish(graph)


@pytest.mark.parametrize(
    ("where", "latent_frame"),
    [
        ({"frame": "first"}, 0),
        ({"frame": "last"}, LATENT_FRAMES - 1),
        ({"frame": "pixel frame", "pixel_frame": 6}, 2),
        ({"frame": "pixel frame", "pixel_frame": -9}, 2),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_frames_and_batches(runner, where, latent_frame, batch):
    outcome = runner.finish(_anchored(batch, **where))
    assert len(outcome.clean) == batch
    check(outcome, [latent_frame])
    if batch > 1:
        a, b = outcome.clean[:2, :, latent_frame]
        assert (a - b).abs().max() > 0.1


def test_two_anchors(runner):
    graph = _anchored(frame="last")
    graph.inject(image=graph.pictures(), latent=graph.latent)
    check(runner.finish(graph), [0, LATENT_FRAMES - 1])


def test_without_guidance_there_is_one_branch(runner):
    outcome = runner.finish(_anchored(), cfg=1.0)
    assert {tuple(c["branch"].tolist()) for c in outcome.calls} == {(0,)}
    _check_latents(outcome, [0], DRIFT)


def test_guidance_interval_skips_the_negative_branch_outside(runner):
    calls = runner.finish(_anchored(), steps=8, guidance_start=0.25, guidance_end=0.5).calls
    guided = [len(c["branch"]) for c in calls]
    assert guided == [1, 1, 2, 2, 2, 1, 1, 1]


def test_partial_denoise_keeps_the_anchor(runner):
    check(runner.finish(_anchored(), stock=True, denoise=0.5, steps=4), [0])


@pytest.mark.parametrize("cache", ["EasyCache", "LazyCache"])
@pytest.mark.parametrize("before", [True, False])
def test_step_caches_on_either_side(runner, cache, before):
    settings = {
        "reuse_threshold": 0.4,
        "start_percent": 0.1,
        # LazyCache skips the whole prediction: after a skipped last step only the pin is left.
        "end_percent": 0.95 if cache == "EasyCache" else 0.6,
        "verbose": False,
    }
    graph = Builder()
    graph.world()
    if before:
        graph.wrap(cache, **settings)
    graph.inject(image=graph.pictures())
    if not before:
        graph.wrap(cache, **settings)
    outcome = runner.finish(graph, steps=12)
    assert len(outcome.calls) < 12, "the cache never skipped a step, so this test shows nothing"
    check(outcome, [0])


@pytest.mark.parametrize("retain_first_frame", [False, True])
def test_context_windows(runner, retain_first_frame):
    graph = Builder()
    graph.world()
    graph.wrap(
        "WanContextWindowsManual",
        context_length=9,
        context_overlap=5,
        context_schedule="standard_static",
        context_stride=1,
        closed_loop=False,
        fuse_method="pyramid",
        freenoise=False,
        split_conds_to_windows=False,
        retain_first_frame=retain_first_frame,
    )
    graph.inject(image=graph.pictures())
    outcome = runner.finish(graph)
    windows = {tuple(c["frames"].tolist()) for c in outcome.calls}
    assert len(windows) > 1
    assert any(0 not in w for w in windows)
    check(outcome, [0])


def test_anchor_given_as_latent(runner):
    graph = Builder()
    graph.world()
    encoded = [graph.add("VAEEncode", pixels=graph.pictures(), vae=graph.vae), 0]
    graph.inject(anchor_latent=encoded)
    check(runner.finish(graph), [0])


@pytest.mark.parametrize("sampler", ["euler", "uni_pc"])
def test_softened_anchor_has_its_share_of_the_timestep(runner, sampler):
    outcome = runner.finish(_anchored(anchor_noise=0.2), sampler_name=sampler)
    for call in outcome.calls:
        torch.testing.assert_close(call["t"][:, 0], call["t"][:, 1] * 0.2)
    assert outcome.final.isfinite().all()
    assert not torch.equal(outcome.final[:, :, 0], outcome.clean[:, :, 0])
    assert (outcome.final - outcome.clean)[:, :, 0].abs().mean() < outcome.clean[:, :, 0].std()


@pytest.mark.parametrize("kind", ["no t change", "no swap", "wrong frame"])
def test_a_broken_hold_is_seen(runner, kind):
    graph = _anchored()
    graph.wrap("FVGMutation", kind=kind)
    with pytest.raises(AssertionError):
        check(runner.finish(graph), [0])


def test_stock_sampling_is_bit_identical_before_and_after(runner):
    def stock(last: int) -> torch.Tensor:
        graph, name = Builder(), runner.name()
        graph.world(lora=False)
        graph.latent = [
            graph.add("EmptyHunyuanLatentVideo", width=64, height=64, length=17, batch_size=1),
            0,
        ]
        sampled = graph.add(
            "KSamplerAdvanced",
            model=graph.model,
            positive=graph.positive,
            negative=graph.negative,
            latent_image=graph.latent,
            add_noise="enable",
            noise_seed=3,
            steps=4,
            cfg=5.0,
            sampler_name="euler",
            scheduler="simple",
            start_at_step=0,
            end_at_step=last,  # past the end: same work, but not the host's cached result
            return_with_leftover_noise="disable",
        )
        graph.save([sampled, 0], name)
        runner.run(graph)
        return runner.latent(name)

    before = stock(1000)
    runner.finish(_anchored())
    assert torch.equal(before, stock(1001))


def test_plain_tensors_give_the_same_trajectory(runner):
    """Three steps: each makes some four times as much of what two calls and one batch round
    differently."""
    graph, name, result = _anchored(), runner.name(), runner.name()
    schedule = {"scheduler": "simple", "steps": 3, "denoise": 1.0}
    sigmas = [graph.add("BasicScheduler", model=graph.model, **schedule), 0]
    reference = graph.add(
        "FVGReferenceEuler",
        model=graph.model,
        positive=graph.positive,
        negative=graph.negative,
        latent=graph.latent,
        frame=0,
        seed=1,
        cfg=3.0,
        sigmas=sigmas,
        name=name,
    )
    graph.save([reference, 0], result)
    outcome = runner.finish(graph, sigmas=sigmas, cfg=3.0)
    trajectory = load_file(runner.comfy.output / f"{name}.safetensors")
    for i, call in enumerate(outcome.calls):
        for branch in call["x"]:
            torch.testing.assert_close(branch, trajectory[f"x{i:04d}"][0], rtol=0, atol=1e-5)
    ours, theirs = map(normalised, (outcome.final, runner.latent(result)))
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
