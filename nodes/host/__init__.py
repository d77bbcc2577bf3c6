"""The only room that touches ComfyUI's internals.

inputs    inputs that several nodes have
hold      carries anchors through any sampler of the host
models    what a MODEL is, and the tiny world's loaders
pictures  pictures and latents of the right size
sampling  schedules, guidance and previews
"""

from .hold import anchored_model
from .inputs import seed_input, solver_inputs
from .models import load_tiny_world, register_folders, spec_of
from .pictures import FIT_RULES, encode_anchor, fit
from .sampling import draw, flow_schedule, sample_video

__all__ = [
    "FIT_RULES",
    "anchored_model",
    "draw",
    "encode_anchor",
    "fit",
    "flow_schedule",
    "load_tiny_world",
    "register_folders",
    "sample_video",
    "seed_input",
    "solver_inputs",
    "spec_of",
]
