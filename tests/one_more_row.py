"""A pytest plugin: the table of models with one more row, of a family that nothing else knows."""

from dataclasses import replace

import fvg_core.backbones as backbones
from fvg_core.backbones.base import ModelFile

NEW = replace(
    backbones.MODELS[0],
    name="A family of tomorrow",
    host_class="Tomorrow",
    files=(ModelFile("diffusion_models", "tomorrow.safetensors"),),
)
backbones.MODELS = (*backbones.MODELS, NEW)
