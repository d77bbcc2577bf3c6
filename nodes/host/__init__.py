"""The only room that touches ComfyUI's internals.

candidates  pictures on disk that are found again; beside it how they are made (candidates_making,
          drawing)
cogvideox what CogVideoX needs beyond the hold
encode    clips and captions through VAE and CLIP
graph_key what a node's input depends on, as one hash
guiders   guidance: an interval of it, two experts in one run
inputs    inputs that several nodes have
hold      carries anchors through any sampler of the host; image_to_video: into the models that take
          a picture by themselves
llm       language models of the host; beside it those that are CLIPs (clip_llm)
models    what a MODEL is, and the tiny world's loaders
notices   warnings on a node
picker    what the Anchor Picker shows and remembers
pictures  pictures and latents of the right size
rewriting the prompt rewriter's files and progress
scoring   candidates before the eyes of whoever scores them
sampling  schedules, runs and previews
training  a MODEL as something that can be trained; beside it the run (training_run), where its
          files are (training_place), and what it shows (training_monitor, training_preview)
weights   telling one model from another
"""

import importlib

from .candidates import candidates_stamp, one_by_one, wanted_candidates
from .candidates_making import make_candidates
from .drawing import pipeline_names
from .graph_key import graph_of, note_made, upstream_key
from .guiders import LowNoiseExpert
from .hold import anchored_model, negative_without_anchor, same_options
from .image_to_video import same_pictures, sight_warning, with_picture
from .inputs import Dataset, seed_input, solver_inputs
from .llm import (
    language_model_folders,
    model_key,
    model_stamp,
    open_model,
    register_language_models,
)
from .models import (
    check_pair,
    load_tiny_world,
    lora_warning,
    own_settings,
    register_folders,
    spec_of,
)
from .notices import warn_on
from .picker import remember, remembered, save_views, upstream_seeds, views_stamp
from .pictures import FIT_RULES, encode_anchor, fit
from .rewriting import (
    note_settled,
    rewriter_instructions,
    rewrites_folder,
    rewriting_watch,
    settled_stamp,
)
from .sampling import sample_video, schedule
from .scoring import SCORERS, score
from .training_route import register_routes

__all__ = [
    "FIT_RULES",
    "SCORERS",
    "Dataset",
    "Job",
    "LowNoiseExpert",
    "Preview",
    "anchored_model",
    "cache_dataset",
    "candidates_stamp",
    "check_pair",
    "clips_stamp",
    "encode_anchor",
    "fit",
    "graph_of",
    "language_model_folders",
    "load_tiny_world",
    "lora_warning",
    "make_candidates",
    "model_key",
    "model_stamp",
    "negative_without_anchor",
    "note_made",
    "note_settled",
    "one_by_one",
    "open_model",
    "own_settings",
    "pipeline_names",
    "register_folders",
    "register_language_models",
    "register_routes",
    "remember",
    "remembered",
    "rewriter_instructions",
    "rewrites_folder",
    "rewriting_watch",
    "same_options",
    "same_pictures",
    "sample_video",
    "save_views",
    "schedule",
    "score",
    "seed_input",
    "settled_stamp",
    "sight_warning",
    "solver_inputs",
    "spec_of",
    "train_lora",
    "upstream_key",
    "upstream_seeds",
    "views_stamp",
    "wanted_candidates",
    "warn_on",
    "with_picture",
]

# What training needs is imported when it is first used: every start of the host waits for imports.
_LATE = {
    "Job": "training_run",
    "Preview": "training_preview",
    "cache_dataset": "encode",
    "clips_stamp": "encode",
    "train_lora": "training_run",
}


def __getattr__(name: str):
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LATE[name]}", __name__), name)
