"""CogVideoX 1.5 in a real ComfyUI: pairs, the scale of the input, and the hold of a clean pair."""

from __future__ import annotations

import cogvideox
import pytest
import torch
from graphs import Builder
from test_hold import DRIFT, EXTRAPOLATED_DRIFT, EXTRAPOLATES, STOPS_EARLY, Outcome, Runner
from test_hold import _check_latents as check_latents

pytestmark = pytest.mark.host

FIRST = {"frame": "first"}


@pytest.fixture
def runner(comfy, client) -> Runner:
    return Runner(comfy, client)


def anchored(comfy, batch: int = 1, **where) -> Builder:
    graph = cogvideox.start(comfy)
    graph.inject(image=graph.pictures(batch), **where)
    return graph


def in_front(latent: torch.Tensor) -> torch.Tensor:
    """As the network sees it: a whole number of pairs, in its own units."""
    front = latent[:, :, : latent.shape[2] % 2]
    return torch.cat([front, latent], 2) * cogvideox.SCALE


def check(outcome: Outcome, pairs: list[int], frames: list[int], drift: float = DRIFT) -> None:
    """Every call saw the clean pairs at timestep 0, and everything else at the right noise."""
    clean = in_front(outcome.clean)
    batch, free = len(clean), [p for p in range(clean.shape[2] // 2) if p not in pairs]
    assert outcome.calls
    for call in outcome.calls:
        text, *times = call["t"].view(len(call["x"]), -1).unbind(1)
        given = call["x"].unflatten(2, (-1, 2))
        for row in range(len(given)):
            for p in pairs:
                expected = clean.unflatten(2, (-1, 2))[row % batch, :, p]
                torch.testing.assert_close(given[row, :, p], expected, rtol=0, atol=1e-6)
        assert all((times[p] == 0).all() for p in pairs)
        assert all((times[p] == text).all() for p in free)
        assert given[:, :, free].std() < 3  # not the 4519 that the host's solvers hold at first
    first = outcome.calls[0]
    assert first["t"].amax() == 999
    assert first["sigma"].round() == 4519
    assert first["x"].unflatten(2, (-1, 2))[:, :, free].std() == pytest.approx(1, abs=0.1)
    check_latents(outcome, frames, drift)


@pytest.mark.parametrize(
    ("where", "pairs", "frames"),
    [
        ({"frame": "first"}, [0], [0]),
        ({"frame": "last"}, [2], [3, 4]),
        ({"frame": "pixel frame", "pixel_frame": 1}, [1], [1, 2]),
        ({"frame": "first", "length": 21}, [0], [0, 1]),
    ],
)
def test_an_anchor_is_a_pair(runner, where, pairs, frames):
    check(runner.finish(anchored(runner.comfy, **where)), pairs, frames)


def test_several_anchors_and_batches(runner):
    graph = anchored(runner.comfy, 2, frame="last")
    graph.inject(image=graph.pictures(2), latent=graph.latent)
    outcome = runner.finish(graph)
    check(outcome, [0, 2], [0, 3, 4])
    assert (outcome.clean[0, :, 0] - outcome.clean[1, :, 0]).abs().max() > 0.1


def test_an_anchor_given_as_latent_is_given_to_its_whole_pair(runner):
    graph = cogvideox.start(runner.comfy)
    z = [graph.add("FVGRandomLatent", channels=16, size=8, seed=1), 0]
    graph.inject(anchor_latent=z, frame="last")
    outcome = runner.finish(graph)
    assert torch.equal(outcome.clean[:, :, 3], outcome.clean[:, :, 4])
    check(outcome, [2], [3, 4])


def test_every_sampler_of_the_host(runner, client):
    names = client.object_info()["KSampler"]["input"]["required"]["sampler_name"][0]
    failures = {}
    for name in names:
        if name in STOPS_EARLY:
            continue
        try:
            outcome = runner.finish(anchored(runner.comfy), stock=True, sampler_name=name, steps=3)
            check(outcome, [0], [0], EXTRAPOLATED_DRIFT if name in EXTRAPOLATES else DRIFT)
        except Exception as error:
            failures[name] = repr(error)[:300]
    assert not failures


@pytest.mark.parametrize("length", [17, 21])
@pytest.mark.parametrize("clean", [[], [0], [2]])
def test_the_plain_reference_samples_the_same_video(runner, clean, length):
    """The published model's own steps over plain tensors, from the noise that the host drew."""
    where = {(): {}, (0,): {"frame": "first"}, (2,): {"frame": "last"}}[tuple(clean)]
    graph = anchored(runner.comfy, length=length, **where)
    if not clean:
        size = {"width": 64, "height": 64, "length": length, "batch_size": 1}
        graph.latent = [graph.add("EmptyHunyuanLatentVideo", **size), 0]
    outcome = runner.finish(graph, cfg=3.0)
    w = cogvideox.weights()
    x, given = outcome.calls[0]["x"][:1], in_front(outcome.clean)
    held = [f for p in clean for f in (2 * p, 2 * p + 1)]
    sigmas = [float(c["sigma"]) for c in outcome.calls] + [0.0]
    for i, call in enumerate(outcome.calls):
        x[:, :, held] = given[:, :, held]
        torch.testing.assert_close(call["x"][:1], x, rtol=0, atol=1e-4)
        v = dict(
            zip(
                call["branch"].tolist(),
                (
                    cogvideox.prediction(w, x, call["t"].amax(), clean, text[None])
                    for text in call["context"]
                ),
                strict=True,
            )
        )
        v = v[1] + 3.0 * (v[0] - v[1])
        a = (1 + sigmas[i] ** 2) ** -0.5
        x = cogvideox.ddim(x, a * x - a * sigmas[i] * v, sigmas[i], sigmas[i + 1]).float()
    x[:, :, held] = given[:, :, held]
    final = in_front(outcome.final)[:, :, length // 4 % 2 == 0 :]
    torch.testing.assert_close(final, x[:, :, -final.shape[2] :], rtol=0, atol=1e-4 * x.abs().max())
    assert x.std() > 0.1
