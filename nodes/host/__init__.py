"""The only room that touches ComfyUI's internals.

hold      carries anchors through any sampler of the host
models    what a MODEL is, and the tiny world's loaders
pictures  pictures and latents of the right size
sampling  schedules, guidance and previews
"""

from .hold import anchored_model
from .models import load_tiny_world, register_folders, spec_of
from .pictures import FIT_RULES, encode_anchor, fit
from .sampling import (
    draw,
    flow_schedule,
    sample_video,
    sampler_names,
    scheduler_names,
)

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
    "sampler_names",
    "scheduler_names",
    "spec_of",
]
