"""The only room that touches ComfyUI's internals.

encode    clips and captions through VAE and CLIP
inputs    inputs that several nodes have
hold      carries anchors through any sampler of the host
models    what a MODEL is, and the tiny world's loaders
pictures  pictures and latents of the right size
sampling  schedules, guidance and previews
training  a MODEL as something that can be trained; beside it the run (training_run), where its
          files are (training_place), and what it shows (training_monitor, training_preview)
"""

from .encode import Dataset, cache_dataset, clips_stamp
from .hold import anchored_model
from .inputs import seed_input, solver_inputs
from .models import load_tiny_world, register_folders, spec_of
from .pictures import FIT_RULES, encode_anchor, fit
from .sampling import draw, flow_schedule, sample_video
from .training_monitor import register_routes
from .training_preview import Preview
from .training_run import Job, train_lora

__all__ = [
    "FIT_RULES",
    "Dataset",
    "Job",
    "Preview",
    "anchored_model",
    "cache_dataset",
    "clips_stamp",
    "draw",
    "encode_anchor",
    "fit",
    "flow_schedule",
    "load_tiny_world",
    "register_folders",
    "register_routes",
    "sample_video",
    "seed_input",
    "solver_inputs",
    "spec_of",
    "train_lora",
]
