"""Fitting a model into memory while it is trained.

A frozen linear layer needs its weight at two moments, forward and backward, and not in between.
So the weight may be kept smaller (8 bits), or elsewhere (the CPU's memory), and be made ready at
each of them. For a 14B block of 33,000 tokens the way to the GPU takes a tenth of the arithmetic
or less (derived: 0.7 GB against 45 TFLOP).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from ..backbones import Backbone
from ..errors import TrainingError
from .config import Memory

_FP8 = torch.float8_e4m3fn
_CPU = torch.device("cpu")


@contextlib.contextmanager
def prepared(backbone: Backbone, config: Memory, device: torch.device) -> Iterator[None]:
    """The backbone on `device` as the settings want it; afterwards bit for bit what it was.

    Called with the LoRA attached: only frozen weights are stored otherwise. The originals of
    8-bit weights stay in, or go to, the CPU's memory. A model whose linear layers place their own
    weights (the host's) is left where it is; only what is trained moves.
    Raises TrainingError for settings that this model cannot have.
    """
    device, blocks = _numbered(device), list(backbone.blocks)
    movable = _movable(backbone.module)
    if config.offload_blocks > len(blocks):
        raise TrainingError(
            f"offload_blocks is {config.offload_blocks}, but the model has {len(blocks)} blocks; "
            f"set it to {len(blocks)} or less."
        )
    with contextlib.ExitStack() as undo:
        kept = set()
        for i, block in enumerate(blocks):
            away = i < config.offload_blocks
            if config.fp8_base or away:
                for linear in _plain_linears(block):
                    kept.add(linear.weight)
                    undo.enter_context(_stored(linear, device, config.fp8_base, away))
            if config.gradient_checkpointing:
                undo.enter_context(checkpointed(block, input_on_cpu=away))
        for tensor in movable:
            if tensor not in kept and tensor.device != device:
                undo.enter_context(_moved(tensor, device))
        yield


@contextlib.contextmanager
def checkpointed(block: nn.Module, *, input_on_cpu: bool = False) -> Iterator[None]:
    """Forget the block's activations in the forward pass, and compute them again backwards.

    What is remembered is its input, the first argument (Wan's are positional, CogVideoX's have
    names); `input_on_cpu` keeps that in the CPU's memory.
    """
    forward = block.forward

    def recomputed(*args, **kwargs):
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        x = next(iter((*args, *kwargs.values())))
        with _remembered_on_cpu(x) if input_on_cpu else contextlib.nullcontext():
            return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    with _forward(block, recomputed):
        yield


@dataclass(frozen=True)
class Stored:
    """A frozen weight [out, in] as it is kept; in 8 bits it is `value` times `scale` [out, 1]."""

    value: Tensor
    scale: Tensor | None = None

    @classmethod
    def quantised(cls, weight: Tensor) -> Stored:
        """Every row scaled into the range of e4m3, by a power of two so that only the 8-bit
        rounding is inexact, in any dtype."""
        most = weight.abs().amax(1, keepdim=True).float().clamp(min=2.0**-100)
        scale = torch.exp2(torch.ceil(torch.log2(most / torch.finfo(_FP8).max)))
        return cls((weight.float() / scale).to(_FP8), scale)

    def to(self, device: torch.device) -> Stored:
        return Stored(*(None if t is None else _put(t, device) for t in (self.value, self.scale)))

    def ready(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """The weight to compute with."""
        weight = self.value.to(device, non_blocking=True).to(dtype)
        if self.scale is not None:
            weight *= self.scale.to(device, dtype, non_blocking=True)
        return weight


class _FrozenLinear(torch.autograd.Function):
    """F.linear for a weight and bias that are not trained. Nothing but the kept weight waits for
    the backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, stored: Stored, bias: Tensor | None) -> Tensor:
        ctx.stored = stored
        return F.linear(x, stored.ready(x.device, x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad @ ctx.stored.ready(grad.device, grad.dtype), None, None


@contextlib.contextmanager
def _stored(linear: nn.Linear, device: torch.device, fp8: bool, away: bool) -> Iterator[None]:
    """A frozen linear layer that computes from its kept weight instead of its parameter."""
    weight, home = linear.weight, linear.weight.device
    if fp8:
        stored = Stored.quantised(weight.data.to(device)).to(_CPU if away else device)
        weight.data = weight.data.to(_CPU)
    else:
        stored = Stored(_put(weight.data, _CPU, pin=device.type == "cuda"))
        weight.data = stored.value

    def forward(x: Tensor) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        bias = None if linear.bias is None else linear.bias.to(dtype)
        return _FrozenLinear.apply(x.to(dtype), stored, bias)

    with _forward(linear, forward):
        try:
            yield
        finally:
            weight.data = weight.data.to(home)


@contextlib.contextmanager
def _forward(module: nn.Module, forward: Callable) -> Iterator[None]:
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


@contextlib.contextmanager
def _moved(tensor: Tensor, device: torch.device) -> Iterator[None]:
    home = tensor.device
    tensor.data = tensor.data.to(device)
    try:
        yield
    finally:
        tensor.grad = None  # of the device that is left
        tensor.data = tensor.data.to(home)


def _remembered_on_cpu(x: Tensor) -> contextlib.AbstractContextManager:
    """Tensors of x's shape that are saved for the backward pass wait in the CPU's memory."""
    pack = lambda t: _put(t, _CPU, pin=t.is_cuda) if t.shape == x.shape else t
    return torch.autograd.graph.saved_tensors_hooks(
        pack, lambda t: t.to(x.device, non_blocking=True)
    )


def _plain_linears(block: nn.Module) -> list[nn.Linear]:
    """The frozen linear layers of a block. Raises TrainingError where they are no plain ones."""
    frozen = [m for m in block.modules() if isinstance(m, nn.Linear) and not _trained(m)]
    strange = next((m for m in frozen if not _is_plain(m)), None)
    if strange is not None or not frozen:
        kind = type(strange or block)
        raise TrainingError(
            f"fp8_base and offload_blocks need plain linear layers; this model's are "
            f"{kind.__module__}.{kind.__qualname__}, which place their weights themselves. Switch "
            "both settings off, and load the model with a weight dtype of fp8 instead; ComfyUI "
            "offloads its own models."
        )
    return frozen


def _trained(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters(recurse=False))


def _is_plain(linear: nn.Linear) -> bool:
    return type(linear).forward is nn.Linear.forward and "forward" not in linear.__dict__


def _movable(module: nn.Module) -> list[Tensor]:
    """What has to be on the device: everything, or in a model that places its weights itself what
    is trained."""
    own = all(_is_plain(m) for m in module.modules() if isinstance(m, nn.Linear))
    parameters = [p for p in module.parameters() if own or p.requires_grad]
    return [*parameters, *(module.buffers() if own else ())]


def _numbered(device: torch.device) -> torch.device:
    """ "cuda" is the current one of the CUDA devices."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _put(tensor: Tensor, device: torch.device, *, pin: bool = False) -> Tensor:
    if tensor.device == device and not pin:
        return tensor
    return torch.empty_like(tensor, device=device, pin_memory=pin).copy_(tensor)
