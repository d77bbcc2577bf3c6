"""Training without ComfyUI: a job's clips, diffusers' model, and a folder with the LoRA."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ..backbones import Backbone
from ..backbones.diffusers_models import load
from ..data import CachedDataset, prepare
from ..errors import TrainingError
from ..files import weights_key
from ..lora.files import LAYOUTS, save_lora
from ..pairs import noise_with_front
from .checkpoint import list_checkpoints
from .config import DTYPES
from .encoders import decode_video, encoders, encoders_key
from .job import Job
from .planner import available_memory, plan_for
from .processes import Processes
from .recipe import lora_metadata
from .run import Progress, Run
from .trainer import Trainer
from .validation import held_out_scene, sample
from .webp import save_webp

_PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate")
Say = Callable[[str], None]


class Stopped(Exception):
    """Someone asked for the end (Ctrl-C, SIGTERM). The state is saved."""

    def __init__(self, step: int):
        super().__init__(f"stopped after step {step}; the state is saved")


def train(
    job: Job, out: Path, processes: Processes, *, layout: str = "host", must_resume: bool = False
) -> Path:
    """Train the job's LoRA, or go on with it if `out` holds checkpoints. Returns its file.

    Raises FVGError; and Stopped, after saving, when someone asked for the end.
    """
    if layout not in LAYOUTS:
        raise TrainingError(f"the layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    if must_resume and not list_checkpoints(out / "checkpoints"):
        raise TrainingError(
            f"there is nothing to go on from in {out}: it holds no checkpoint. Name the folder of "
            "the run with --out, or start without --resume."
        )
    say = print if processes.leader else lambda text: None
    dtype = DTYPES[job.model.dtype or job.config.memory.dtype]
    backbone = load(job.model.part("transformer"), dtype)
    data = _dataset(job, out / "dataset", backbone, processes, dtype, say)
    _announce(job, backbone, data, processes, say)
    file = out / f"{out.resolve().name}.safetensors"
    with contextlib.ExitStack() as stack:
        asked = stack.enter_context(_asked_to_stop(processes))
        trainer = stack.enter_context(
            Trainer(
                backbone,
                data,
                job.config,
                base=weights_key(job.model.all_of("transformer")),
                device=processes.device,
                share=processes.share,
                tick=lambda: _check(asked, processes, trainer),
            )
        )
        sampler = _sampler(job, trainer) if job.videos.steps else None
        run = Run(trainer, out, sampler=sampler, leader=processes.leader)
        run.resume()
        for note in run.notes:
            say(note)
        with run:
            _steps(run, processes, asked)
        if processes.leader:
            _save(trainer, job, file, layout)
    say(f"{file} holds the LoRA.")
    return file


def _dataset(
    job: Job, cache: Path, backbone: Backbone, processes: Processes, dtype, say: Say
) -> CachedDataset:
    """What the clips are encoded to; the leader encodes them, the others wait."""
    if processes.leader:
        spec, last = backbone.spec, None
        with encoders(job.model, spec, processes.device, dtype) as (encode_video, encode_text):
            steps = prepare(
                job.data.folder,
                cache.resolve(),
                job.data.target(spec),
                spec,
                encode_video=encode_video,
                encode_text=encode_text,
                key=encoders_key(job.model, spec, dtype),
            )
            with _bar("encoding", "clip") as bar:
                for step in steps:
                    bar.total, bar.n, last = step.total, step.done, step
                    bar.refresh()
        say(last.prepared.report)
    processes.wait()
    return CachedDataset(cache.resolve())


def _announce(
    job: Job, backbone: Backbone, data: CachedDataset, processes: Processes, say: Say
) -> None:
    """Say what the settings need, and what to change if it is more than there is."""
    largest = max(data.buckets, key=lambda shape: shape[0] * shape[1] * shape[2])
    text = data.empty_text.shape[0]
    plan = plan_for(backbone, job.config, largest, text, processes.share.world)
    if processes.share.world > 1:
        say(f"{processes.share.world} processes share every batch of {job.config.batch}.")
    say("Memory that training will need:\n  " + "\n  ".join(plan.lines()))
    available = available_memory(processes.device)
    if available is not None:
        for line in plan.advice(available):
            say(f"More than the {available / 1e9:.1f} GB that are free: {line}")


def _steps(run: Run, processes: Processes, asked: list[int]) -> None:
    trainer = run.trainer
    steps = trainer.config.steps
    with _bar("training", "step", total=steps, initial=trainer.step, on=processes.leader) as bar:
        for progress in run.steps():
            bar.set_postfix(loss=f"{progress.state.loss:.4f}", refresh=False)
            bar.update(progress.state.step - bar.n)
            if progress.held_out is not None and processes.leader:
                bar.write(_validated(progress))
            if progress.state.step < steps and processes.any(bool(asked)):
                raise Stopped(trainer.step)


def _sampler(job: Job, trainer: Trainer) -> Callable[[Path], list[Path]]:
    """Samples a held-out clip by the LoRA as it stands, into a folder."""
    spec, seed = trainer.backbone.spec, trainer.config.seed
    scene = held_out_scene(trainer.data, trainer.held_out, spec.patch_time)
    noise = torch.randn(scene.plan.clean.shape, generator=torch.Generator().manual_seed(seed))
    noise = noise_with_front(noise, spec.patch_time, seed)
    sigmas = spec.process.schedule(job.videos.steps, job.videos.shift)

    def draw(folder: Path) -> list[Path]:
        (latents,) = sample(trainer, scene, noise, sigmas, job.videos.cfg)
        pixels = decode_video(job.model, latents, trainer.device)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "video-0.webp"
        save_webp(pixels, path, job.data.fps or spec.fps)
        return [path]

    return draw


def _validated(progress: Progress) -> str:
    return (
        f"step {progress.state.step}: held-out loss {progress.held_out.anchored:.4f} with an "
        f"anchor, {progress.held_out.unanchored:.4f} without"
    )


def _save(trainer: Trainer, job: Job, file: Path, layout: str) -> None:
    transformer = job.model.part("transformer")
    base = f"{transformer.parent.name}/{transformer.name}"
    save_lora(
        file,
        trainer.lora_state(),
        alpha=trainer.config.alpha,
        metadata=lora_metadata(trainer, file.stem, base, _PACKAGES),
        layout=layout,
        dtype=DTYPES[trainer.config.memory.dtype],
    )


def _check(asked: list[int], processes: Processes, trainer: Trainer) -> None:
    """Before every forward pass. Among several processes only the end of a step will do: the
    others would wait for ever."""
    if asked and processes.share.world == 1:
        raise Stopped(trainer.step)


@contextlib.contextmanager
def _asked_to_stop(processes: Processes) -> Iterator[list[int]]:
    """Signals that ask for the end, as they come. A single process obeys a second one at once;
    `accelerate launch` repeats the first."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) > 1 and processes.share.world == 1:
            raise KeyboardInterrupt

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(what: str, unit: str, *, on: bool = True, **more):
    from tqdm import tqdm

    return tqdm(desc=what, unit=unit, disable=not on, dynamic_ncols=True, **more)
