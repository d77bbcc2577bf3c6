"""The models as people choose them: `python -m fvg_core models`.

Numbers of layers and parameters are counted from diffusers' architecture on the meta device;
memory for training is the planner's, which is arithmetic (train/planner.py says how well it fits).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import MODELS, BackboneSpec

RANKS = (64, 256)  # the most on a card of 24 GB for a 14B; the paper's (section 4.3)
_GB = 1e9


@dataclass(frozen=True)
class Counted:
    """Of one transformer; where there are two experts, of each. Bytes, but for the parameters."""

    parameters: int
    lora_layers: int
    lora_parameters: tuple[int, ...]  # for each of RANKS
    bf16: int
    fp8: int  # linear layers of the blocks in 8 bits, all else in bf16
    sampling: int  # what the host sets aside for one step of the model's own video, beside weights
    training: tuple[int, ...]  # for each of RANKS, at the model's own size and length


def counted(spec: BackboneSpec) -> Counted:
    """Count a published model."""
    from ..train.config import TrainConfig
    from ..train.planner import adapted_layers, plan, sizes_of
    from .diffusers_models import on_meta

    backbone = on_meta(spec)
    sizes = sizes_of(backbone)
    in_blocks = sum(sizes.blocks)
    configs = [TrainConfig.parse({"lora": {"rank": rank}}) for rank in RANKS]
    plans = [plan(sizes, config, latent_shape(spec)) for config in configs]
    return Counted(
        parameters=in_blocks + sizes.other,
        lora_layers=len(adapted_layers(backbone)),
        lora_parameters=tuple(p.lora_parameters for p in plans),
        bf16=2 * (in_blocks + sizes.other),
        fp8=in_blocks + 2 * sizes.other,
        sampling=working_bytes(spec),
        training=tuple(p.total for p in plans),
    )


def working_bytes(spec: BackboneSpec) -> int:
    """What the host sets aside for a step, both guidance branches at once: its own estimate for
    bf16 and PyTorch's attention (comfy/model_base.py memory_required; supported_models.py). With
    8-bit weights too, which it computes with in bf16."""
    assert spec.size is not None
    branches, itemsize = 2, 2
    factor = spec.memory_factor or spec.size.dim / 2222
    return round(branches * math.prod(latent_shape(spec)) * itemsize * 0.01 * factor * 2**20)


def latent_shape(spec: BackboneSpec) -> tuple[int, int, int]:
    """Latent frames, height and width of the clips that a published model was made for."""
    own = spec.sampling
    assert own is not None
    frames = (own.frames - 1) // spec.stride_time + 1
    return frames, own.height // spec.stride_space, own.width // spec.stride_space


def lines(specs: Sequence[BackboneSpec] = MODELS) -> Iterator[str]:
    """The table, and below it what each model needs."""
    small, large = RANKS
    head = (
        "Model", "video", "fps", "channels", "steps", "shift", "CFG", "parameters", "bf16 / fp8",
        "sampling", "LoRA layers", f"rank {small} / {large}", f"training, rank {small} / {large}",
    )  # fmt: skip
    rows = [head, *(_row(spec, counted(spec)) for spec in specs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).strip()
    yield ""
    yield "GB are 10^9 bytes. Of two experts, all numbers are for each. Sampling: weights in bf16 /"
    yield "fp8 and what ComfyUI sets aside for a step; weights that do not fit wait in main memory."
    yield "Training: one clip at a time, bf16, gradient checkpointing; python -m fvg_core train"
    yield "says what saves memory. Image-to-video models need no anchor LoRA."
    for spec in specs:
        yield from _needs(spec)


def _row(spec: BackboneSpec, count: Counted) -> tuple[str, ...]:
    own = spec.sampling
    assert own is not None
    cfg = f"{own.cfg:g}" + (f", {own.cfg_low_noise:g} low" if own.cfg_low_noise else "")
    return (
        spec.name,
        f"{own.width} x {own.height} x {own.frames}",
        f"{spec.fps:g}",
        str(spec.latent_channels),
        str(own.steps),
        " to ".join(f"{shift:g}" for shift in own.shift) or "none",
        cfg,
        f"{count.parameters / 1e9:.2f} B" + (" x 2" if spec.expert_boundary else ""),
        f"{count.bf16 / _GB:.1f} / {count.fp8 / _GB:.1f} GB",
        f"{(count.bf16 + count.sampling) / _GB:.0f} / {(count.fp8 + count.sampling) / _GB:.0f} GB",
        str(count.lora_layers),
        " / ".join(f"{n / 1e6:.0f}" for n in count.lora_parameters) + " M",
        "-"
        if spec.image_channels
        else " / ".join(f"{size / _GB:.0f}" for size in count.training) + " GB",
    )


def _needs(spec: BackboneSpec) -> Iterator[str]:
    yield ""
    yield spec.name
    for file in spec.files:
        yield f"  models/{file.folder}/{file.name}"
    yield f"  anchor LoRA: {spec.anchor_lora or 'not needed'}"
    if spec.expert_boundary:
        yield f"  two experts: the high-noise one while sigma is {spec.expert_boundary:g} or more"
    yield f"  anchors: {spec.anchor_rule}"
    if spec.sampling:
        yield f"  negative prompt: {spec.sampling.negative}"
    yield f"  source: {spec.source}"
