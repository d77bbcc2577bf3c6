"""Schedules that come from another node, and those of other nodes: what a run makes of them."""

from __future__ import annotations

import pytest
import torch
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
