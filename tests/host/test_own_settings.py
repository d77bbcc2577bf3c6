"""0 stands for the number of the MODEL's own row, and the node says so."""

from __future__ import annotations

import checkpoints
import pytest
import torch
from graphs import LORA, Builder
from pairs import SHIFT, Experts, Pair, write_other
from test_experts import told
from test_progress import events_of

from fvg_core.backbones.wan import WAN21, WAN22_I2V

pytestmark = pytest.mark.host


def sampled(**settings) -> tuple[Builder, list]:
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures())
    return graph, graph.sample(steps=3, **settings)


def said_of_zeros(client, graph: Builder) -> str:
    (text,) = [t for e in events_of(client, graph) if "(0 stands for" in (t := told(e) or "")]
    return text


@pytest.mark.parametrize("left_open", [("cfg", "shift"), ("cfg",), ("shift",)])
def test_zero_is_the_models_own(comfy, client, left_open):
    own = {"cfg": WAN21.sampling.cfg, "shift": WAN21.sampling.shift[0]}
    graph, latent = sampled(**{**own, **dict.fromkeys(left_open, 0.0)})
    experts = Experts(comfy, client)
    name = experts.name()
    graph.save(latent, name)
    text = said_of_zeros(client, graph)
    said = ", ".join(f"{name} 5" for name in left_open)
    assert text == f"{said} (0 stands for that of {WAN21.name})"
    assert torch.equal(experts.latent(name), experts.video(*sampled(**own)))
    assert not torch.equal(experts.latent(name), experts.video(*sampled(cfg=3.0, shift=3.0)))


def test_numbers_of_ones_own_are_kept_and_nothing_is_said(client):
    graph, latent = sampled(cfg=3.0, shift=3.0, seed=5)
    graph.save(latent, "own-settings")
    assert not [e for e in events_of(client, graph) if "(0 stands for" in (told(e) or "")]


def test_zero_is_the_low_noise_experts_own(comfy, client):
    """In the row of the tiny world's family one number serves both experts."""
    other = write_other(comfy.output / "diffusion_models")

    def pair(**low) -> tuple[Builder, list]:
        graph = Pair(other)
        with_lora = {"lora_name": LORA, "strength_model": 1.0}  # without one the node warns instead
        graph.low = [graph.add("LoraLoaderModelOnly", model=graph.low, **with_lora), 0]
        return graph, graph.sample_pair(**low)

    experts = Experts(comfy, client)
    graph, latent = pair(low_noise_cfg=0.0, boundary=0.0)
    name = experts.name()
    graph.save(latent, name)
    said = said_of_zeros(client, graph)
    assert said == f"low_noise_cfg 5, boundary 0.875 (0 stands for that of {WAN21.name})"
    own = {"low_noise_cfg": WAN21.sampling.cfg, "boundary": WAN21.expert_boundary}
    assert torch.equal(experts.latent(name), experts.video(*pair(**own)))


def test_zero_is_the_own_of_a_pair_that_takes_pictures(comfy, client):
    graph = Builder()
    graph.world(lora=False)
    folder = comfy.output / "diffusion_models"
    name = checkpoints.write_image_to_video(folder, clip_vision=False)
    graph.model = [graph.add("UNETLoader", unet_name=name, weight_dtype="default"), 0]
    low = graph.model
    graph.inject(image=graph.pictures())
    zeros = dict.fromkeys(("cfg", "low_noise_cfg", "boundary"), 0.0)
    graph.save(graph.sample(low_noise_model=low, steps=1, shift=SHIFT, **zeros), "own-pictures")
    said = said_of_zeros(client, graph)
    numbers = "cfg 3.5, low_noise_cfg 3.5, boundary 0.9"
    assert said == f"{numbers} (0 stands for that of {WAN22_I2V.name})"
