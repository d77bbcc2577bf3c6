"""Training at the published sizes: seconds a step, memory against the plan, where the time goes.

`python -m benchmarks.real_size [--model 1.3B 14B] [--rank 64 256]` needs a CUDA device and no
weights: random ones of the published shapes cost the same. Writes
`benchmarks/results/<date>/real_size.{json,md}`. `--device cpu --model small` shows that it runs.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks import machine, report
from benchmarks.figures import Figure, summarise
from dev.host import prepare
from dev.recipe import describe_pack
from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.errors import FVGError
from fvg_core.train.config import DTYPES, TrainConfig
from fvg_core.train.planner import plan_for
from fvg_core.train.trainer import Trainer

RESULTS = report.RESULTS
STEPS, SHOWN = 5, 15
TEXT = (512, 4096)  # tokens and features of UMT5 XXL


@dataclass(frozen=True)
class Size:
    """A Wan transformer with heads of 128, and the latent (frames, height, width) it trains on."""

    heads: int
    ffn: int
    layers: int
    latent: tuple[int, int, int]


CLIP = (21, 60, 104)  # 832 x 480, 81 frames
SIZES = {
    "1.3B": Size(12, 8960, 30, CLIP),  # Wan-Video/Wan2.1 wan/configs/wan_t2v_1_3B.py
    "14B": Size(40, 13824, 40, CLIP),  # wan_t2v_14B.py; an A14B expert is the same
    "small": Size(2, 512, 2, (5, 8, 8)),
}


class RandomClip:
    """A dataset of one clip."""

    fingerprint, ids, digests = "random", ("0",), ("0",)

    def __init__(self, shape: tuple[int, int, int]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.buckets = {shape: (0,)}
        self.empty_text = torch.zeros(TEXT)
        self._latents = torch.randn(16, *shape, generator=generator)
        self._text = torch.randn(TEXT, generator=generator)

    def latents(self, index: int) -> Tensor:
        return self._latents

    def text(self, index: int) -> Tensor:
        return self._text


def build(size: Size, device: torch.device, dtype: torch.dtype) -> DiffusersWan:
    """A transformer of random weights."""
    from diffusers import WanTransformer3DModel

    torch.set_default_dtype(dtype)
    try:
        with device:
            model = WanTransformer3DModel(
                num_attention_heads=size.heads, ffn_dim=size.ffn, num_layers=size.layers
            )
    finally:
        torch.set_default_dtype(torch.float32)
    return DiffusersWan(model)


def measure(backbone: DiffusersWan, size: Size, rank: int, device: torch.device) -> dict[str, Any]:
    """Steps of one sample with checkpointed blocks; what the first one sets up is not timed."""
    config = TrainConfig.parse(
        {
            "batch": 1,
            "steps": STEPS + 2,
            "lora": {"rank": rank},
            "keep": {"validation_clips": 0},
        }
    )
    planned = plan_for(backbone, config, size.latent, TEXT[0])
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with Trainer(backbone, RandomClip(size.latent), config, device=device) as trainer:
        steps = trainer.run()
        next(steps)
        seconds = [next(steps).seconds for _ in range(STEPS)]  # a step ends by reading its loss
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with profile(activities=kinds) as profiled:
            next(steps)
    return {
        "rank": rank,
        "seconds": vars(summarise(seconds)),
        "peak_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        "planned_bytes": planned.total,
        "operations": _operations(profiled, on_gpu),
    }


def _operations(profiled: profile, on_gpu: bool) -> list[tuple[str, float]]:
    """The operations that take longest, each with its share of all the time."""
    time_of = lambda e: e.self_device_time_total if on_gpu else e.self_cpu_time_total
    events = sorted(profiled.key_averages(), key=time_of, reverse=True)
    whole = sum(map(time_of, events)) or 1
    return [(event.key, time_of(event) / whole) for event in events[:SHOWN]]


def table(results: dict[str, Any]) -> str:
    """The page of a result."""
    lines = ["# Training at real sizes", "", *report.preamble(results), ""]
    lines += [
        "Random weights in bf16, the LoRA in fp32 on all linear layers, blocks checkpointed, one "
        "sample a step through our own loop on diffusers' transformer.",
        "",
        "| Model | Latent | Rank | Seconds a step | Peak, GB | Planned, GB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in results["real_size"]:
        peak = "-" if case["peak_bytes"] is None else f"{case['peak_bytes'] / 1e9:.2f}"
        latent = " x ".join(map(str, case["latent"]))
        lines.append(
            f"| {case['model']} | {latent} | {case['rank']} | {Figure(**case['seconds']).text(2)} "
            f"| {peak} | {case['planned_bytes'] / 1e9:.2f} |"
        )
    for case in results["real_size"]:
        lines += ["", f"## Where the time goes: {case['model']}, rank {case['rank']}", ""]
        lines += ["| Operation | Share of the step |", "| --- | --- |"]
        lines += [f"| `{name}` | {share:.1%} |" for name, share in case["operations"]]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.real_size", description=__doc__)
    arguments.add_argument("--model", nargs="+", choices=SIZES, default=["1.3B", "14B"])
    arguments.add_argument("--rank", nargs="+", type=int, default=[64, 256])
    arguments.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    options = arguments.parse_args(words)
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("error: there is no CUDA device here.", file=sys.stderr)
        return 1
    cases = []
    for name in options.model:
        size = SIZES[name]
        backbone = build(size, options.device, DTYPES["bf16"])
        for rank in options.rank:
            case = measure(backbone, size, rank, options.device)
            cases.append({"model": name, "latent": size.latent, **case})
            print(f"{name}, rank {rank}: {case['seconds']['median']:.2f} s a step", flush=True)
        del backbone  # before the next one is built
    try:
        about = machine.describe(prepare())
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    date = datetime.date.today().isoformat()
    results = {
        "date": date,
        "commit": describe_pack()["commit"],
        "command": f"`python -m benchmarks.real_size {' '.join(words)}".rstrip() + "`",
        "machine": about,
        "real_size": cases,
    }
    print("\n".join(map(str, report.write(results, table(results), RESULTS / date, "real_size"))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
