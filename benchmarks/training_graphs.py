"""What is trained in a training benchmark, as API graphs: the same samples for both trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CLIPS, RECORD = "bench_clips", "training"
RANK = 16
LEARNING_RATE = 1e-4
# The host has two ways to put a LoRA into a layer, and two to make a batch. Its batch_size runs
# every latent with every caption of the batch: four samples are sixteen passes. Accumulation of
# batches of one does our work.
OURS, OURS_STEPWISE = "ours", "ours, accumulating"
HOST, HOST_BYPASS = "host", "host, bypass"
HOST_STEPWISE, HOST_STEPWISE_BYPASS = "host, accumulating", "host, accumulating, bypass"
_BLOCKS = 2  # checkpoint_depth: each block, as ours. The default, 1, recomputes the whole model


@dataclass(frozen=True)
class Size:
    """A model and its clips. `dim` 0 takes the tiny world's own video model."""

    name: str
    pixels: int
    length: int
    dim: int = 0
    heads: int = 0
    layers: int = 0


@dataclass(frozen=True)
class Case:
    size: Size
    dtype: str
    gradient_checkpointing: bool
    batch: int
    steps: int
    rounds: int

    @property
    def name(self) -> str:
        kept = "checkpointed" if self.gradient_checkpointing else "kept"
        return f"{self.size.name} {self.dtype} {kept} batch {self.batch}"

    @property
    def sides(self) -> tuple[str, ...]:
        if self.batch == 1:
            return OURS, HOST, HOST_BYPASS
        return OURS, OURS_STEPWISE, HOST, HOST_STEPWISE, HOST_STEPWISE_BYPASS


Graph = dict[str, dict[str, Any]]


def training_graph(case: Case, side: str, run: int) -> Graph:
    """Run number `run` of a server, by one side. Its stopwatch is written to `RECORD`."""
    if side in (OURS, OURS_STEPWISE):
        at_once = case.batch if side == OURS else 1
        trainer = our_trainer(case, run, micro_batch=at_once)
    else:
        trainer = _host_trainer(case, side, run)
    return between(case.size, trainer, run)


def encoding_anew(graph: Graph) -> Graph:
    """The same training, with each sample encoded when it is read."""
    inputs = graph["dataset"]["inputs"]
    anew = {k: inputs[k] for k in ("folder", "model", "vae", "clip")}
    start = {**graph["start"]["inputs"], "dataset": ["anew", 0]}
    return {
        **graph,
        "anew": _node("FVGBenchEncodeAnew", dataset=["dataset", 0], **anew),
        "start": _node("FVGBenchStartTraining", **start),
    }


def updates(case: Case, side: str) -> int:
    """How often a trainer's progress bar advances in a step."""
    return case.batch if side in (HOST_STEPWISE, HOST_STEPWISE_BYPASS) else 1


def between(size: Size, trainer: dict[str, Any], run: int) -> Graph:
    """The models, the clips, and the trainer between start and stop of the watch.

    The host runs a node again only if something changed, so each run of a server needs its own
    number.
    """
    model = ["wan", 0] if size.dim else ["world", 0]
    graph = {
        "world": _node("FVGTinyWorldLoader"),
        "dataset": _node(
            "FVGVideoDataset", folder=CLIPS, model=model, vae=["world", 3],
            clip=["world", 2], width=size.pixels, height=size.pixels, length=size.length,
            fps=8.0, bucketing=False, windows=1,
        ),
        "start": _node(
            "FVGBenchStartTraining", model=model, dataset=["dataset", 0], run=run
        ),
        "trainer": trainer,
        "stop": _node("FVGBenchStopTraining", after=["trainer", 1], name=RECORD),
    }  # fmt: skip
    if size.dim:
        graph["positive"] = _node("CLIPTextEncode", clip=["world", 2], text="")
        sizes = {"dim": size.dim, "heads": size.heads, "layers": size.layers}
        graph["wan"] = _node("FVGBenchWan", conditioning=["positive", 0], **sizes)
    return graph


def our_trainer(case: Case, run: int, **more: Any) -> dict[str, Any]:
    """The LoRA Trainer, with nothing on the way but what `more` switches on."""
    settings = {
        "lora_name": f"bench-{run}", "if_exists": "start again", "steps": case.steps,
        "batch": case.batch, "micro_batch": 1, "rank": RANK,
        "learning_rate": LEARNING_RATE, "alpha": 0.0, "dropout": 0.0, "anchor_loss": "masked",
        "first_frame_share": 0.0, "unanchored_share": 0.1, "max_anchors": 1,
        "prompt_dropout": 0.1, "time_density": "uniform", "time_shift": 5.0, "expert": "all",
        "optimizer": "adamw", "schedule": "constant", "warmup": 0, "ema": 0.0,
        "dtype": case.dtype, "gradient_checkpointing": case.gradient_checkpointing,
        "cpu_optimizer": False, "checkpoint_every": 0, "keep_checkpoints": 3,
        "validate_every": 0, "validation_clips": 0, "validation_steps": 15,
        "validation_cfg": 5.0, "validation_shift": 5.0, "seed": run,
    }  # fmt: skip
    return _node("FVGLoraTrainer", model=["start", 0], dataset=["start", 1], **{**settings, **more})


def _host_trainer(case: Case, side: str, run: int) -> dict[str, Any]:
    """The host's trainer on the same; its LoRA in fp32, as ours always is."""
    each = updates(case, side)
    return _node(
        "TrainLoraNode", model=["start", 0], latents=["start", 2], positive=["start", 3],
        batch_size=case.batch // each, grad_accumulation_steps=each, steps=case.steps,
        learning_rate=LEARNING_RATE, rank=RANK, optimizer="AdamW", loss_function="MSE",
        seed=run, training_dtype=case.dtype, lora_dtype="fp32", quantized_backward=False,
        algorithm="LoRA", gradient_checkpointing=case.gradient_checkpointing,
        checkpoint_depth=_BLOCKS, offloading=False, existing_lora="[None]", bucket_mode=False,
        bypass_mode=side in (HOST_BYPASS, HOST_STEPWISE_BYPASS),
    )  # fmt: skip


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
