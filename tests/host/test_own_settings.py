"""cfg and shift 0 stand for those of the MODEL's own row, and the node says so."""

from __future__ import annotations

import pytest
import torch
from graphs import Builder
from pairs import Experts
from test_experts import told
from test_progress import events_of

from fvg_core.backbones.wan import WAN21

pytestmark = pytest.mark.host


def sampled(**settings) -> tuple[Builder, list]:
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures())
    return graph, graph.sample(steps=3, **settings)


@pytest.mark.parametrize("left_open", [("cfg", "shift"), ("cfg",), ("shift",)])
def test_zero_is_the_models_own(comfy, client, left_open):
    own = {"cfg": WAN21.sampling.cfg, "shift": WAN21.sampling.shift[0]}
    graph, latent = sampled(**{**own, **dict.fromkeys(left_open, 0.0)})
    experts = Experts(comfy, client)
    name = experts.name()
    graph.save(latent, name)
    (text,) = [t for e in events_of(client, graph) if "(0 stands for" in (t := told(e) or "")]
    said = ", ".join(f"{name} 5" for name in left_open)
    assert text == f"{said} (0 stands for that of {WAN21.name})"
    assert torch.equal(experts.latent(name), experts.video(*sampled(**own)))
    assert not torch.equal(experts.latent(name), experts.video(*sampled(cfg=3.0, shift=3.0)))


def test_numbers_of_ones_own_are_kept_and_nothing_is_said(client):
    graph, latent = sampled(cfg=3.0, shift=3.0, seed=5)
    graph.save(latent, "own-settings")
    assert not [e for e in events_of(client, graph) if "(0 stands for" in (told(e) or "")]
