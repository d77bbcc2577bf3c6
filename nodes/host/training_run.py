"""One training job on the host: from a MODEL and a dataset to a LoRA in the host's folder."""

from __future__ import annotations

import json
import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import comfy.model_management
import comfy.sd
import comfy.utils
import numpy as np
import torch
from torch import Tensor

from ...fvg_core.errors import TrainingError
from ...fvg_core.train.config import DTYPES, TrainConfig
from ...fvg_core.train.curve import draw_curve
from ...fvg_core.train.planner import MemoryPlan, plan_for
from ...fvg_core.train.run import Run, read_history
from ...fvg_core.train.trainer import Dataset, Trainer
from .training import HostWan, base_of, training
from .training_monitor import Monitor, file_of, run_state
from .training_place import (
    Place,
    finished_steps,
    place_of,
    recipe,
    save_trained,
    set_aside,
)
from .training_preview import Preview, Scene, VideoSampler, scene_of

_OTHERWISE = (
    "Choose a smaller micro_batch or rank, shorter clips, or weight_dtype fp8_e4m3fn in the loader"
)


@dataclass(frozen=True)
class Job:
    """What is to be trained. `node` is the graph's name for the node that shows it."""

    model: object
    data: Dataset
    config: TrainConfig
    lora_name: str
    start_again: bool
    preview: Preview
    node: str


@dataclass(frozen=True)
class Trained:
    """The MODEL with its LoRA, the file's name for LoRA loaders, the curve as IMAGE, a report,
    and what the page shows."""

    model: object
    lora: str
    curve: Tensor
    report: str
    ui: dict


def train_lora(job: Job) -> Trained:
    """Train, go on with, or just give back the LoRA of this name. Raises FVGError."""
    place, notes = place_of(job.lora_name), []
    if job.start_again:
        old = set_aside(place)
        notes += [f"The earlier run was moved to {old.parent.name}/{old.name}."] if old else []
    wanted = recipe(job.config, job.data, base_of(job.model))
    done = finished_steps(place, wanted, job.config)
    if done >= job.config.steps:
        notes.append("It was finished before; nothing was trained now.")
    else:
        notes += _train(job, place, wanted)
    return _result(job, place, notes)


def _train(job: Job, place: Place, wanted: Mapping[str, str]) -> list[str]:
    """Train to the end and save the LoRA. Returns what a person should know."""
    scene, advice = None, []
    if job.preview.vae is not None and job.config.keep.validate_every:
        scene = scene_of(job.preview, job.model, job.data, job.config)
    try:
        with training(job.model, DTYPES[job.config.memory.dtype]) as backbone:
            check_fits(job.data, backbone)
            plan = planned(backbone, job.data, job.config)
            advice = _advice(plan, comfy.model_management.get_total_memory(backbone.device))
            advice = load_as_planned(backbone, plan)
            with Trainer(
                backbone,
                job.data,
                job.config,
                base=json.dumps(base_of(job.model)),
                device=backbone.device,
                tick=comfy.model_management.throw_exception_if_processing_interrupted,
            ) as trainer:
                notes = _steps(job, place, wanted, backbone, trainer, scene, advice)
                return [*notes, "Memory as planned:", *plan.lines(), *advice]
    except comfy.model_management.OOM_EXCEPTION as error:
        raise TrainingError(
            "the device has not enough memory for these settings; what was trained is saved. "
            + ("; ".join(advice) or _OTHERWISE)
            + "."
        ) from error


def planned(backbone: HostWan, data: Dataset, config: TrainConfig) -> MemoryPlan:
    """What training on the largest clips will need."""
    shape = max(data.buckets, key=math.prod)
    return plan_for(backbone, config, shape, data.empty_text.shape[0])


def load_as_planned(backbone: HostWan, plan: MemoryPlan) -> list[str]:
    """Load the model and make room for the rest. Returns what to change if there is not enough."""
    working = plan.total - plan.parts["model"]
    backbone.load(working)
    free = comfy.model_management.get_free_memory(backbone.device)
    if working <= free:
        return []
    advice = [
        f"{working / 1e9:.1f} GB are needed beside the model, and {free / 1e9:.1f} GB are free",
        *_advice(plan, free + plan.parts["model"]),
    ]
    logging.warning("FVG LoRA Trainer: %s", "; ".join(advice))
    return advice


def _advice(plan: MemoryPlan, available: int) -> list[str]:
    return [*map(_in_the_nodes_words, plan.advice(available, offload=False))]


def _in_the_nodes_words(advice: str) -> str:
    """The planner speaks of the config's settings; some are the host's loaders' business here."""
    for theirs, ours in (
        ("memory.fp8_base = true", "weight_dtype of the loader to fp8_e4m3fn"),
        ("memory.", ""),
        ("optimizer.name", "optimizer"),
        ("lora.", ""),
    ):
        advice = advice.replace(theirs, ours)
    return advice


def _steps(
    job: Job,
    place: Place,
    wanted: Mapping[str, str],
    backbone: HostWan,
    trainer: Trainer,
    scene: Scene | None,
    warnings: list[str],
) -> list[str]:
    sampler = None
    if scene is not None:
        sampler = VideoSampler(job.preview, scene, job.model, backbone, trainer)
    run = Run(trainer, place.folder, sampler=sampler)
    first = run.resume()
    steps = job.config.steps
    with run:
        monitor = Monitor(job.node, place.name, place.folder, steps, warnings)
        bar = comfy.utils.ProgressBar(steps)
        monitor.tell(run.history, now=True)
        for progress in run.steps():
            bar.update_absolute(progress.state.step, steps)
            monitor.tell(run.history, now=progress.held_out is not None)
        monitor.tell(run.history, now=True)
    save_trained(trainer, place, wanted)
    return [*run.notes, *([f"It went on from step {first}."] if first else [])]


def check_fits(data: Dataset, backbone: HostWan) -> None:
    """Raises TrainingError unless the latents and texts are of the model's kind."""
    spec = backbone.spec
    if not len(data.ids):
        raise TrainingError("the dataset is empty; see the report of the Video Dataset node.")
    channels, features = data.latents(0).shape[0], data.empty_text.shape[-1]
    if channels != spec.latent_channels:
        raise TrainingError(
            f"the dataset's latents have {channels} channels, but the MODEL ({spec.name}) takes "
            f"{spec.latent_channels}. Make the dataset with this MODEL and its own VAE."
        )
    if features != backbone.text_features:
        raise TrainingError(
            f"the dataset's texts have {features} features, but the MODEL takes "
            f"{backbone.text_features}. Make the dataset with the text encoder of this MODEL."
        )


def _result(job: Job, place: Place, notes: Sequence[str]) -> Trained:
    history = read_history(place.folder)
    lora = comfy.utils.load_torch_file(str(place.lora), safe_load=True)
    model, _ = comfy.sd.load_lora_for_models(job.model, None, lora, 1.0, 0.0)
    picture = draw_curve(history)
    curve = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
    state = run_state(place.name, place.folder, history, job.config.steps)
    images = [file_of(path) for path in [place.folder / "loss.png"] if path.exists()]
    report = "\n".join([*_summary(place, history, job), *notes])
    logging.info("FVG LoRA Trainer: %s", report)
    ui = {"fvg_training": [state], "images": [*images, *state["samples"]]}
    return Trained(model, place.lora.name, curve, report, ui)


def _summary(place: Place, history: Sequence[dict], job: Job) -> list[str]:
    lines = [f"{place.lora.name}: {len(set(job.data.digests))} clips, batch {job.config.batch}."]
    if history:
        lines[0] = f"{lines[0][:-1]}, {history[-1]['step']} steps."
        tenth = -(-len(history) // 10)
        first, last = (
            statistics.fmean(h["loss"] for h in part)
            for part in (history[:tenth], history[-tenth:])
        )
        lines.append(f"Loss: {first:.4g} in the first tenth of the steps, {last:.4g} in the last.")
    measured = [h for h in history if h.get("held_out")]
    if measured:
        last = measured[-1]["held_out"]
        lines.append(
            f"Held-out clips: {last['anchored']:.4g} with an anchor, {last['unanchored']:.4g} "
            "without. The first should be the smaller: then the LoRA uses the anchor."
        )
    return lines
