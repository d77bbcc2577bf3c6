"""Every setting of a training run, with its default and where that comes from.

One config serves the node and the command line; it travels whole in the LoRA's metadata.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import TrainingError

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Algorithm(_Section):
    """Algorithm 1 and what it leaves open."""

    # masked: the anchor's noise is not in the input, so its term cannot be learned; leave it out
    # and renormalise. paper: line 15 as printed, over all frames.
    anchor_loss: Literal["masked", "paper"] = "masked"
    first_frame_share: float = Field(0.0, ge=0, le=1)  # anchored at frame 0 before k is drawn
    unanchored_share: float = Field(0.1, ge=0, lt=1)  # keeps plain text-to-video alive
    max_anchors: int = Field(1, ge=1)  # each sample gets 1 to this many
    prompt_dropout: float = Field(0.1, ge=0, le=1)  # Ho and Salimans 2022, for guidance
    time_density: Literal["uniform", "shifted", "logit_normal"] = "uniform"  # l. 3
    time_shift: float = Field(5.0, gt=0)  # of "shifted"; 5 is Wan's sampling shift
    expert: Literal["all", "high", "low"] = "all"  # which part of the sigmas an A14B expert sees


class Lora(_Section):
    rank: int = Field(256, ge=1)  # paper, section 4.3
    alpha: float | None = Field(None, gt=0)  # the rank where none is given, as Pusa's
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | None = None  # regex over module names; the family's linear layers otherwise


class Optimizer(_Section):
    name: Literal["adamw", "adamw8bit"] = "adamw"
    lr: float = Field(1e-4, gt=0)  # DiffSynth-Studio's Wan LoRA examples; Pusa used 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(100, ge=0)  # steps
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = Field(1.0, gt=0)  # norm of all gradients together
    ema: float = Field(0.0, ge=0, lt=1)  # decay of the averaged LoRA; 0: none is kept


class Memory(_Section):
    dtype: Literal["bf16", "fp32"] = "bf16"  # of the arithmetic; the LoRA itself stays fp32
    gradient_checkpointing: bool = True
    fp8_base: bool = False  # keep the frozen linear weights in 8 bits
    offload_blocks: int = Field(0, ge=0)  # keep the weights of this many blocks on the CPU
    cpu_optimizer: bool = False  # keep master weights and optimizer state on the CPU


class Keep(_Section):
    """What is written on the way, in steps; 0 switches it off."""

    checkpoint_every: int = Field(250, ge=0)
    checkpoints: int = Field(3, ge=1)
    validate_every: int = Field(250, ge=0)
    validation_clips: int = Field(8, ge=0)  # held out of training


class TrainConfig(_Section):
    steps: int = Field(6000, ge=1)  # paper, section 4.3
    batch: int = Field(16, ge=1)  # effective: samples per step (paper, section 4.3)
    micro_batch: int = Field(1, ge=1)  # samples per forward pass
    seed: int = Field(0, ge=0, lt=2**63)
    algorithm: Algorithm = Algorithm()
    lora: Lora = Lora()
    optimizer: Optimizer = Optimizer()
    memory: Memory = Memory()
    keep: Keep = Keep()

    @property
    def alpha(self) -> float:
        return float(self.lora.rank if self.lora.alpha is None else self.lora.alpha)

    @classmethod
    def parse(cls, values: dict) -> TrainConfig:
        """A checked config. Raises TrainingError naming every setting that is wrong."""
        return checked(cls, values)


Settings = TypeVar("Settings", bound=BaseModel)


def checked(kind: type[Settings], values: object, *place: str) -> Settings:
    """`values` as settings of a kind, which stand at `place` in a larger whole."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join([*place, *map(str, e['loc'])])} = {e['input']!r}: {e['msg']}"
            for e in error.errors()
        )
        raise TrainingError(f"the training settings are wrong: {wrong}.") from error
