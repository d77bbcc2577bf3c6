"""Schedules that come from another node, and those of other nodes: what a run makes of them."""

from __future__ import annotations

import pytest
import torch
from graphs import Builder
from test_hold import Runner, _anchored

pytestmark = pytest.mark.host


@pytest.fixture
def runner(comfy, client) -> Runner:
    return Runner(comfy, client)


def test_a_solver_that_writes_into_its_schedule_does_not_change_the_next_run(runner):
    """The host's uni_pc does on a CPU, and the SIGMAS are another node's, kept for later runs. One
    that seems to end above 0 hands its softened anchors over as clean."""
    graph, names = _anchored(anchor_noise=0.2), (runner.name(), runner.name())
    schedule = {"scheduler": "simple", "steps": 4, "denoise": 1.0}
    sigmas = [graph.add("BasicScheduler", model=graph.model, **schedule), 0]
    for name, steps in zip(names, (4, 5), strict=True):  # not used with SIGMAS
        graph.save(graph.sample(sigmas=sigmas, sampler_name="uni_pc", steps=steps), name)
    runner.run(graph)
    assert torch.equal(*map(runner.latent, names))


def test_an_empty_schedule_gives_the_latent_back(runner):
    """As the stock samplers do."""
    graph, names = _anchored(), [runner.name() for _ in range(3)]
    nothing = {"scheduler": "simple", "steps": 4, "denoise": 0.0}
    sigmas = [graph.add("BasicScheduler", model=graph.model, **nothing), 0]
    sampled = [graph.sample(sigmas=sigmas, **low) for low in ({}, {"low_noise_model": graph.model})]
    for name, latent in zip(names, [graph.latent, *sampled], strict=True):
        graph.save(latent, name)
    runner.run(graph)
    clean, *finals = map(runner.latent, names)
    assert all(torch.equal(final, clean) for final in finals)


@pytest.mark.parametrize(("model_shift", "guided_steps"), [(None, 4), (12.0, 3)])
def test_percent_ranges_are_measured_on_the_models_own_shift(runner, model_shift, guided_steps):
    """The host's doing; the help page of the sampler says so, and how to have them on the run's."""
    graph = Builder()
    graph.world()
    if model_shift:
        graph.wrap("ModelSamplingSD3", shift=model_shift)
    graph.inject(image=graph.pictures())
    ranges = [
        [graph.add("ConditioningSetTimestepRange", conditioning=c, start=start, end=end), 0]
        for c, start, end in ((graph.positive, 0.0, 0.6), (graph.negative, 0.6, 1.0))
    ]
    both = graph.add("ConditioningCombine", conditioning_1=ranges[0], conditioning_2=ranges[1])
    graph.positive = [both, 0]
    calls = runner.finish(graph, shift=12.0, cfg=1.0).calls
    first = calls[0]["context"][0]
    assert sum(torch.equal(call["context"][0], first) for call in calls) == guided_steps
