"""Two experts in one run, in a real ComfyUI: each on its side of the boundary, the anchor held at
every call of both, and the same video as plain tensors and as two stock samplers give."""

from __future__ import annotations

import struct
import uuid

import checkpoints
import pytest
import torch
from graphs import Builder
from pairs import BOUNDARY, CFG, HIGH_STEPS, LOW_CFG, SHIFT, Experts, Pair, write_other
from test_hold import DRIFT, EXTRAPOLATED_DRIFT, Outcome, check, normalised
from test_progress import STEPS, WITHIN_STEPS, events_of, interrupted, steps_of

from fvg_core.bench.client import RunError

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def other(comfy) -> str:
    return write_other(comfy.output / "diffusion_models")


@pytest.fixture
def experts(comfy, client) -> Experts:
    return Experts(comfy, client)


def sigmas_of(outcome: Outcome) -> list[float]:
    return [float(call["sigma"][0]) for call in outcome.calls]


def check_pair(high: Outcome, low: Outcome, drift: float = DRIFT) -> None:
    """Each on its side of the boundary, and the hold over all calls of both."""
    assert min(sigmas_of(high)) >= BOUNDARY > max(sigmas_of(low))
    whole = Outcome(high.clean, high.final, high.unpinned, [*high.calls, *low.calls])
    check(whole, [0], drift)


@pytest.mark.parametrize(
    ("sampler", "batch"),
    [
        ("euler", 3),
        ("heun", 1),  # a step's second call lies below the boundary where its first lies above
        ("uni_pc", 1),
        ("dpmpp_2m_sde", 1),
        ("euler_cfg_pp", 1),  # asks the host for the unconditional prediction too
    ],
)
def test_both_experts_hold_the_anchor(experts, other, sampler, batch):
    high, low = experts.pair(Pair(other, batch=batch), sampler_name=sampler)
    check_pair(high, low, EXTRAPOLATED_DRIFT if sampler == "uni_pc" else DRIFT)
    if sampler == "euler":
        assert (len(high.calls), len(low.calls)) == (HIGH_STEPS, 6 - HIGH_STEPS)


def test_plain_tensors_give_the_same_video(experts, other):
    check_pair(*experts.pair_as_plain_tensors(Pair(other)))


@pytest.mark.parametrize("same_weights", [False, True])
def test_two_stock_samplers_by_hand_give_the_same_video(experts, other, same_weights):
    """Also for two MODELs of one checkpoint, of which only one has the LoRA."""
    graph = Pair(None if same_weights else other)
    ours = experts.video(graph, graph.sample_pair())
    high, low = experts.pair(Pair(None if same_weights else other), Pair.sample_by_hand)
    assert (len(high.calls), len(low.calls)) == (HIGH_STEPS, 6 - HIGH_STEPS)
    # Between the two the latent carries noise, but not at the anchor: low.clean is the same.
    check_pair(Outcome(high.clean, high.final, low.unpinned, high.calls), low)
    assert (ours - high.final).abs().max() <= 1e-4 * ours.abs().max()
    graph = Pair(other)
    assert (
        ours - experts.video(graph, graph.sample(steps=6, shift=SHIFT, cfg=CFG))
    ).abs().max() > 0.05


def test_a_softened_anchor_is_handed_over_without_its_noise(experts, other):
    """What the first stock sampler leaves in it would be taken for the picture."""
    _, low = experts.pair(Pair(other, anchor_noise=0.2), Pair.sample_by_hand)
    first = low.calls[0]
    picture = normalised(low.clean)[0, :, 0]
    given = picture * (1 - 0.2 * first["sigma"][0])  # the picture, and no noise
    for branch in first["x"]:
        torch.testing.assert_close(branch[:, 0], given, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", ["uni_pc", "dpmpp_2m_sde", "euler_cfg_pp"])
def test_the_solver_keeps_its_history_over_the_switch(experts, sampler):
    """One MODEL in both places gives the bits of one MODEL alone."""
    videos = []
    for pair in (True, False):
        graph = Builder()
        graph.world()
        graph.inject(image=graph.pictures())
        low = {"low_noise_model": graph.model, "low_noise_cfg": CFG} if pair else {}
        sampled = graph.sample(steps=6, shift=SHIFT, cfg=CFG, sampler_name=sampler, **low)
        videos.append(experts.video(graph, sampled))
    assert torch.equal(*videos)


def test_one_injection_is_enough(experts, other):
    injected = Pair(other)
    plain = Pair(other)
    plain.low = [plain.add("UNETLoader", unet_name=other, weight_dtype="default"), 0]
    a, b = (experts.video(graph, graph.sample_pair()) for graph in (injected, plain))
    assert torch.equal(a, b)


def test_without_a_second_expert_its_settings_change_nothing(experts):
    videos = []
    for more in ({}, {"low_noise_cfg": 9.0, "boundary": 0.5}):
        graph = Builder()
        graph.world()
        graph.inject(image=graph.pictures())
        videos.append(experts.video(graph, graph.sample(**more)))
    assert torch.equal(*videos)


def test_a_schedule_on_one_side_needs_one_expert(experts, other):
    high, low = experts.pair(Pair(other), boundary=0.005)
    assert (len(high.calls), len(low.calls)) == (6, 0)
    graph = Pair(other)
    late = [
        graph.add("BasicScheduler", model=graph.model, scheduler="simple", steps=3, denoise=0.5), 0
    ]  # fmt: skip
    ours = experts.video(graph, graph.sample_pair(sigmas=late, boundary=1.0))
    alone = Pair(other)
    alone.model = alone.low
    late = [
        alone.add("BasicScheduler", model=alone.model, scheduler="simple", steps=3, denoise=0.5), 0
    ]  # fmt: skip
    assert torch.equal(ours, experts.video(alone, alone.sample(sigmas=late, cfg=LOW_CFG)))


def test_each_expert_has_its_own_step_cache(experts, other):
    cache = {"reuse_threshold": 0.4, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    high, low = experts.pair(Pair(other, cache=cache), steps=24)
    assert len(high.calls) < 13  # the steps at sigma 0.875 or more
    assert len(low.calls) < 11
    check_pair(high, low)


def test_progress_and_preview_go_on_over_the_switch(client, other):
    graph = Pair(other)
    sampled = graph.sample_pair(steps=STEPS, seed=uuid.uuid4().int % 2**63)
    graph.save(sampled, "pair-progress")
    events = events_of(client, graph)
    assert [value for value, _ in steps_of(events, sampled[0])] == [*range(1, STEPS + 1)]
    assert len([e for e in events if e.kind == "preview" and not told(e)]) == STEPS


@pytest.mark.timeout(300)
def test_the_second_expert_can_be_interrupted_and_both_work_again(client, experts, other):
    graph = Pair(other)
    sampled = graph.sample_pair(steps=1000, boundary=1.0, seed=uuid.uuid4().int % 2**63)
    graph.save(sampled, "pair-interrupted")
    assert interrupted(client, graph, sampled[0], after=5) <= WITHIN_STEPS
    check_pair(*experts.pair(Pair(other), seed=uuid.uuid4().int % 2**63))


@pytest.mark.parametrize("high_too", [True, False])
def test_models_that_are_no_pair(comfy, client, high_too):
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures())
    name = checkpoints.write("wan22_5b", comfy.output / "diffusion_models")
    low = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    graph.model = low if high_too else graph.model
    graph.save(graph.sample(low_noise_model=low), "must-not-exist")
    with pytest.raises(RunError) as raised:
        client.run(graph.graph)
    said = str(raised.value)
    assert "low_noise_model is Wan 2.2 TI2V 5B" in said
    assert "those of Wan 2.2 T2V A14B" in said


def told(event) -> str | None:
    """The text that an event puts on a node."""
    if event.kind != "preview" or struct.unpack(">I", event.preview[:4])[0] != 3:
        return None
    (length,) = struct.unpack(">I", event.preview[4:8])
    return event.preview[8 + length :].decode()


def warnings_of(client, graph: Builder, **anchor) -> list[str]:
    graph.inject(anchor_noise=0.01, **anchor)  # like no other test, so that nothing is cached
    graph.save(graph.latent, f"warned-{uuid.uuid4().hex}")
    return [text for e in events_of(client, graph) if "carries no LoRA" in (text := told(e) or "")]


def test_a_model_without_a_lora_gets_a_warning_and_others_do_not(comfy, client):
    said = []
    for lora in (False, True):
        graph = Builder()
        graph.world(lora=lora)
        said.append(len(warnings_of(client, graph, image=graph.pictures())))
    assert said == [1, 0]
    graph = Builder()
    graph.world(lora=False)
    name = checkpoints.write("wan22_5b", comfy.output / "diffusion_models")
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    latent = [graph.add("FVGRandomLatent", channels=48, size=4, seed=1), 0]
    assert not warnings_of(client, graph, anchor_latent=latent)
