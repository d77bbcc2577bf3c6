"""The table of models against the architecture's closed forms and the published sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fvg_core.backbones import MODELS
from fvg_core.backbones.cogvideox import COGVIDEOX15_5B
from fvg_core.backbones.diffusers_models import on_meta
from fvg_core.backbones.table import RANKS, counted, latent_shape
from fvg_core.backbones.wan import WAN21_1_3B, WAN21_14B, WAN22_5B, WAN22_A14B

# Billions of parameters; the names round them.
PUBLISHED = {
    "Wan 2.1 T2V 1.3B": 1.42,
    "Wan 2.1 T2V 14B": 14.29,
    "Wan 2.2 T2V A14B": 14.29,
    "Wan 2.2 TI2V 5B": 5.0,
    "CogVideoX 1.5 5B": 5.57,
    "Wan 2.1 I2V 14B": 16.4,
    "Wan 2.2 I2V A14B": 14.29,
}
TEXT, FREQUENCIES, CLIP_VISION = 4096, 256, 1280


def lora_features(spec) -> int:
    """Inputs and outputs of every linear layer, from the paper's architecture alone."""
    d, ffn, patch = spec.size.dim, spec.size.ffn, 4 * spec.patch_time * spec.latent_channels
    if spec is COGVIDEOX15_5B:
        time = 512
        block = 4 * 2 * d + 2 * (d + ffn) + 2 * (time + 6 * d)
        ends = 2 * (patch + d) + (TEXT + d) + (d + time) + 2 * time + (time + 2 * d)
        return spec.size.layers * block + ends
    block = 8 * 2 * d + 2 * (d + ffn)
    if spec.clip_vision:  # keys and values of the picture
        block += 2 * 2 * d
    embedders = (FREQUENCIES + d) + 2 * d + (TEXT + d) + 2 * d + (d + 6 * d) + (d + patch)
    if spec.clip_vision:
        embedders += 2 * CLIP_VISION + (CLIP_VISION + d)
    return spec.size.layers * block + embedders


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_counted_numbers(spec):
    count = counted(spec)
    d, ffn = spec.size.dim, spec.size.ffn
    assert count.parameters / 1e9 == pytest.approx(PUBLISHED[spec.name], rel=0.01)
    seen = spec.clip_vision
    in_a_block = 8 if spec is COGVIDEOX15_5B else 10 + 2 * seen
    assert count.lora_layers == in_a_block * spec.size.layers + 6 + 2 * seen
    assert count.lora_parameters == tuple(rank * lora_features(spec) for rank in RANKS)
    assert count.bf16 == 2 * count.parameters
    square = 4 * d * d + 12 * d * 512 if spec is COGVIDEOX15_5B else (8 + 2 * seen) * d * d
    assert count.bf16 - count.fp8 == spec.size.layers * (square + 2 * d * ffn)
    assert count.bf16 < count.training[0] < count.training[1]


def test_an_architecture_without_weights_is_read_as_its_own_row():
    for spec in (WAN21_1_3B, WAN22_5B):
        backbone = on_meta(spec)
        assert type(backbone)(backbone.module).spec is spec
    assert {p.device.type for p in backbone.module.parameters()} == {"meta"}


def test_latents_of_the_models_own_videos():
    assert latent_shape(WAN21_14B) == (21, 60, 104)
    assert latent_shape(WAN22_5B) == (31, 44, 80)
    assert latent_shape(COGVIDEOX15_5B) == (21, 96, 170)


def test_the_command_prints_every_model_with_its_files():
    done = subprocess.run(
        [sys.executable, "-m", "fvg_core", "models"], capture_output=True, text=True, check=True
    )
    for spec in MODELS:
        assert spec.name in done.stdout
        assert all(f"models/{file.folder}/{file.name}" in done.stdout for file in spec.files)
    (a14b,) = [line for line in done.stdout.splitlines() if line.startswith(f"{WAN22_A14B.name}  ")]
    assert "14.29 B x 2" in a14b
    assert "312 / 1246 M" in a14b
    # 131,040 latent pixels x 2 branches x 2 bytes x 0.01 MiB x 5120 / 2222, beside 28.6 and 14.5.
    assert "41 / 27 GB" in a14b
