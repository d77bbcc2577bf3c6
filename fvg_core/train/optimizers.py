"""Optimizers of the LoRA's parameters."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from ..errors import TrainingError
from .config import Optimizer


def build_optimizer(
    parameters: list[nn.Parameter], config: Optimizer, *, on_cpu: bool = False
) -> torch.optim.Optimizer:
    """AdamW, or its 8-bit form; `on_cpu` keeps master weights and state in the CPU's memory.

    Fused, because one small matrix after another costs a fifth of a tiny model's step.
    """
    kind = partial(torch.optim.AdamW, fused=True) if config.name == "adamw" else _adamw8bit()
    build = lambda params: kind(
        params, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    return CpuOptimizer(parameters, build) if on_cpu else build(parameters)


def _adamw8bit() -> type[torch.optim.Optimizer]:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise TrainingError(
            "optimizer adamw8bit needs the package bitsandbytes, which is not installed. Install "
            "it (pip install bitsandbytes), or set the optimizer to adamw."
        ) from error
    return AdamW8bit


class CpuOptimizer:
    """An optimizer whose master weights and state live in the CPU's memory.

    Gradients go there before a step and the new weights come back after it: slower, and it
    saves three of four fp32 copies of the LoRA on the GPU.
    """

    def __init__(self, parameters: list[nn.Parameter], build):
        self._parameters = parameters
        self._masters = [nn.Parameter(p.detach().cpu().clone()) for p in parameters]
        self._inner: torch.optim.Optimizer = build(self._masters)

    @property
    def param_groups(self) -> list[dict]:
        return self._inner.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self._parameters:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for master, p in zip(self._masters, self._parameters, strict=True):
            master.copy_(p)
            master.grad = None if p.grad is None else p.grad.cpu()
        self._inner.step()
        for master, p in zip(self._masters, self._parameters, strict=True):
            p.copy_(master)
            master.grad = None

    def state_dict(self) -> dict:
        return self._inner.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self._inner.load_state_dict(state)
