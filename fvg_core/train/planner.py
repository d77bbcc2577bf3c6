"""What a training run will need of the device's memory, said before the first step.

Weights, gradients and optimizer state are counted from the model. Activations follow a formula of
tokens, width, ffn width and blocks; its numbers were fitted to the live bytes of forward and
backward passes of diffusers' Wan, which are linear in them, and tests hold it to that (15%). For
the host's Wan it is an estimate; for CogVideoX an upper bound, where 65 to 97% were measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ..backbones import Backbone
from .config import TrainConfig

_GB = 1e9
_MARGIN = 1.05  # what an allocator loses between blocks of memory
_PER_TOKEN = 1500  # bytes: latents, noise and rotary tables
_LOWEST_RANK = 16


@dataclass(frozen=True)
class Sizes:
    """What of a model counts. Weights are numbers of elements, before any LoRA."""

    blocks: tuple[int, ...]  # weights in the linear layers of each block
    other: int  # all other parameters
    itemsize: int  # bytes of a weight as it is loaded
    largest: int  # weights of the largest linear layer of a block
    dim: int
    ffn: int
    patch: int  # latent pixels along each side of a token
    patch_time: int  # latent frames in a token
    lora_features: int  # inputs and outputs of all layers that get a LoRA, added up
    lora_layers: float  # layers of a block that get one


@dataclass(frozen=True)
class MemoryPlan:
    """`parts`: bytes on the device by purpose. All of them are taken to be there at once."""

    sizes: Sizes
    config: TrainConfig
    latent_shape: tuple[int, int, int]
    text_length: int
    world: int
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.parts.values())

    @property
    def lora_parameters(self) -> int:
        return self.config.lora.rank * self.sizes.lora_features

    def fits(self, available_bytes: int) -> bool:
        return self.total * _MARGIN <= available_bytes

    def lines(self) -> list[str]:
        """A table for people, in GB (10^9 bytes)."""
        rows = [*self.parts.items(), ("together", self.total)]
        width = max(len(name) for name, _ in rows)
        return [f"{name:<{width}}  {size / _GB:8.2f} GB" for name, size in rows]

    def advice(self, available_bytes: int, *, offload: bool = True) -> list[str]:
        """What to change until it fits, least harm first, and what each change saves. Empty if it
        fits; the last line says so if nothing makes it fit. offload: whether more blocks can be."""
        now, out = self, []
        most = len(self.sizes.blocks) if offload else self.config.memory.offload_blocks
        for setting, config in _changes(now.config, most):
            if now.fits(available_bytes):
                return out
            then = now._with(config(now.config, now, available_bytes))
            if then.total < now.total:
                saved, left = (now.total - then.total) / _GB, then.total / _GB
                said = setting(then.config)
                out.append(f"set {said}: saves {saved:.1f} GB, {left:.1f} GB are needed then")
                now = then
        if not now.fits(available_bytes):
            out.append(
                f"{now.total / _GB:.1f} GB are needed, and there are {available_bytes / _GB:.1f} "
                "GB: train on shorter or smaller clips, or on a smaller model"
            )
        return out

    def _with(self, config: TrainConfig) -> MemoryPlan:
        return plan(self.sizes, config, self.latent_shape, self.world, self.text_length)


def plan_for(
    backbone: Backbone,
    config: TrainConfig,
    latent_shape: tuple[int, int, int],
    text_length: int = 512,
    world: int = 1,
) -> MemoryPlan:
    """The plan of a backbone (on any device, meta too) for latents (F, h, w), the largest of the
    dataset, and text features of a length."""
    sizes = sizes_of(backbone, config.lora.targets)
    return plan(sizes, config, latent_shape, world, text_length)


def plan(
    sizes: Sizes,
    config: TrainConfig,
    latent_shape: tuple[int, int, int],
    world: int = 1,
    text_length: int = 512,
) -> MemoryPlan:
    """Bytes on each of `world` devices, every one of which holds the whole model."""
    lora = config.lora.rank * sizes.lora_features
    parts = {
        "model": _model(sizes, config),
        "LoRA": lora * (4 + (2 if config.memory.dtype == "bf16" else 0)),  # and its bf16 copy
        "gradients": lora * 4,
        "optimizer": lora * _state(config),
        "average (EMA)": lora * (4 if config.optimizer.ema else 0),
        "block inputs": 0,
        "activations": 0,
    }
    tokens = _tokens(sizes, config, latent_shape, world) + text_length / 4
    inputs, activations = _activations(sizes, config)
    # torch's optimizers take a copy of the LoRA while no activations are there.
    spare = 0 if config.memory.cpu_optimizer else lora * 4
    parts["block inputs"] = int(tokens * inputs)
    parts["activations"] = max(int(tokens * activations), spare)
    return MemoryPlan(
        sizes, config, latent_shape, text_length, world, {k: v for k, v in parts.items() if v}
    )


def sizes_of(backbone: Backbone, targets: str | None = None) -> Sizes:
    """Count a backbone that carries no LoRA yet."""
    blocks = [[m for m in b.modules() if isinstance(m, nn.Linear)] for b in backbone.blocks]
    weights = tuple(sum(m.weight.numel() for m in block) for block in blocks)
    adapted = adapted_layers(backbone, targets)
    first = blocks[0]
    return Sizes(
        blocks=weights,
        other=sum(p.numel() for p in backbone.module.parameters()) - sum(weights),
        itemsize=first[0].weight.element_size(),
        largest=max(m.weight.numel() for m in first),
        dim=min(m.out_features for m in first),
        ffn=max(m.in_features for m in first),
        patch=backbone.spec.patch_space,
        patch_time=backbone.spec.patch_time,
        lora_features=sum(m.in_features + m.out_features for m in adapted),
        lora_layers=sum(m in adapted for block in blocks for m in block) / len(blocks),
    )


def adapted_layers(backbone: Backbone, targets: str | None = None) -> set[nn.Linear]:
    """The layers that a LoRA goes into: of the family, or those that `targets` matches."""
    pattern = re.compile(backbone.spec.lora_targets if targets is None else targets)
    return {
        m
        for name, m in backbone.module.named_modules()
        if isinstance(m, nn.Linear) and pattern.fullmatch(backbone.published_name(name))
    }


def available_memory(device: torch.device | str) -> int | None:
    """Free bytes of a device's memory, or None if they cannot be known."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + idle
    if device.type == "cpu":
        try:
            import psutil
        except ImportError:
            return None
        return psutil.virtual_memory().available
    return None


def _model(sizes: Sizes, config: TrainConfig) -> int:
    memory = config.memory
    on_device = sum(sizes.blocks[memory.offload_blocks :])
    size = on_device * (1 if memory.fp8_base else sizes.itemsize) + sizes.other * sizes.itemsize
    arithmetic = _itemsize(config)
    if memory.fp8_base or memory.offload_blocks:
        return size + 2 * sizes.largest * arithmetic  # one in use, one on its way
    if arithmetic == sizes.itemsize:
        return size
    cast = sizes.blocks[:1] if memory.gradient_checkpointing else sizes.blocks
    return size + sum(cast) * arithmetic


def _state(config: TrainConfig) -> int:
    """Bytes of optimizer state for a weight on the device: two moments, in fp32 or 8 bits."""
    if config.memory.cpu_optimizer:
        return 0
    return 2 if config.optimizer.name == "adamw8bit" else 8


def _tokens(sizes: Sizes, config: TrainConfig, latent_shape: tuple[int, int, int], world: int):
    frames, height, width = latent_shape
    samples = min(config.micro_batch, max(1, config.batch // world))
    frames = -(-frames // sizes.patch_time)
    return samples * frames * (height // sizes.patch) * (width // sizes.patch)


def _activations(sizes: Sizes, config: TrainConfig) -> tuple[float, float]:
    """Bytes for a token: inputs of checkpointed blocks, and what is live beside them at most."""
    e, dim, ffn, count = _itemsize(config), sizes.dim, sizes.ffn, len(sizes.blocks)
    lora = e * config.lora.rank * sizes.lora_layers
    if config.lora.dropout:
        lora += 4.5 * (7 * dim + ffn)  # an fp32 copy of each layer's input, and the mask
    if config.memory.gradient_checkpointing:
        inputs = sizes.itemsize * dim * (count - config.memory.offload_blocks)
        return inputs, 77 * dim + (4 + 3 * e) * ffn + lora + _PER_TOKEN
    block = (52.5 + 6.1 * e) * dim + 2 * e * ffn + lora
    return 0.0, count * block + 4 * dim + (2 + 2 * e) * ffn + _PER_TOKEN


def _itemsize(config: TrainConfig) -> int:
    return 2 if config.memory.dtype == "bf16" else 4


def _changes(config: TrainConfig, blocks: int) -> Iterator[tuple]:
    """Pairs of how a change is said and what it makes of a config, the least harmful first."""

    def memory(**values):
        return lambda c, *_: c.model_copy(update={"memory": c.memory.model_copy(update=values)})

    def optimizer(c: TrainConfig, name: str) -> TrainConfig:
        return c.model_copy(update={"optimizer": c.optimizer.model_copy(update={"name": name})})

    def on_cpu(c: TrainConfig, *_) -> TrainConfig:
        return memory(cpu_optimizer=True)(optimizer(c, "adamw"))

    def offload(c: TrainConfig, now: MemoryPlan, available: int) -> TrainConfig:
        for count in range(c.memory.offload_blocks, blocks + 1):
            tried = memory(offload_blocks=count)(c)
            if now._with(tried).fits(available):
                break
        return tried

    def rank(c: TrainConfig, now: MemoryPlan, available: int) -> TrainConfig:
        while c.lora.rank > _LOWEST_RANK and not now._with(c).fits(available):
            half = max(_LOWEST_RANK, c.lora.rank // 2)
            c = c.model_copy(update={"lora": c.lora.model_copy(update={"rank": half})})
        return c

    always = lambda text: lambda _: text
    yield always("memory.gradient_checkpointing = true"), memory(gradient_checkpointing=True)
    yield always("micro_batch = 1"), lambda c, *_: c.model_copy(update={"micro_batch": 1})
    if not config.memory.cpu_optimizer:
        yield always('optimizer.name = "adamw8bit"'), lambda c, *_: optimizer(c, "adamw8bit")
    yield always('memory.cpu_optimizer = true, optimizer.name = "adamw"'), on_cpu
    yield always("memory.fp8_base = true"), memory(fp8_base=True)
    yield (lambda c: f"memory.offload_blocks = {c.memory.offload_blocks}"), offload
    yield (lambda c: f"lora.rank = {c.lora.rank}"), rank
