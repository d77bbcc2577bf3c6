"""The published sizes without their weights: diffusers' architecture, under the published names,
is what the host detects and builds, and our table knows it by what the host then says of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fvg_core.backbones import MODELS, family_of, model_of
from fvg_core.backbones.cogvideox import COGVIDEOX15_5B
from fvg_core.backbones.diffusers_models import on_meta
from fvg_core.backbones.table import working_bytes

pytestmark = pytest.mark.host

PROGRAM = Path(__file__).with_name("host_shapes.py")


def published(backbone) -> dict:
    return {backbone.published_name(k): v for k, v in backbone.module.state_dict().items()}


@pytest.fixture(scope="module")
def shapes() -> dict[str, dict[str, list[int]]]:
    return {
        spec.name: {name: list(tensor.shape) for name, tensor in published(on_meta(spec)).items()}
        for spec in MODELS
    }


@pytest.fixture(scope="module")
def found(install, shapes) -> dict[str, dict]:
    done = subprocess.run(
        [str(install.python), str(PROGRAM), str(install.root)],
        input=json.dumps(shapes),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_the_host_builds_what_diffusers_has(shapes, found, spec):
    assert found[spec.name]["shapes"] == shapes[spec.name]


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_the_row_is_found_from_the_hosts_model(found, spec):
    model = found[spec.name]
    family = family_of(model["class"], model["channels"], model["clip_vision"])
    row = model_of(family, model["dim"], model["layers"])
    assert spec.name in row.name
    assert row.size == spec.size
    assert row.latent_channels == spec.latent_channels
    assert row.needs_lora == spec.needs_lora


def test_the_real_cogvideox_has_the_latent_scale_of_its_vae(found):
    """0.7 (the VAE's config); the small ones of the other tests have the 2B's."""
    assert found[COGVIDEOX15_5B.name]["latent_scale"] == 0.7


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_working_memory_is_the_hosts_estimate(found, spec):
    """BaseModel.memory_required for both branches, where PyTorch's attention is in use."""
    own = spec.sampling
    positions = own.width * own.height // spec.stride_space**2 * ((own.frames - 1) // 4 + 1)
    expected = 2 * positions * 2 * 0.01 * found[spec.name]["memory_factor"] * 1024**2
    assert working_bytes(spec) == pytest.approx(expected, rel=1e-6)
