"""The training loop: one for the host's model and for diffusers', one process or several."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..backbones import Backbone
from ..errors import TrainingError
from ..lora.adapter import attach
from ..pairs import with_front
from .algorithm import Draw, counted, draw, losses, sigma_range
from .config import DTYPES, TrainConfig
from .memory import prepared
from .optimizers import build_optimizer
from .order import Order, Shape, held_out, mix


class Dataset(Protocol):
    """Latents and text features, ready to read (fvg_core/data keeps them on disk)."""

    fingerprint: str
    ids: Sequence[str]
    digests: Sequence[str]  # which clip each sample is cut from
    empty_text: Tensor  # [L, D], the features of the empty prompt
    buckets: Mapping[Shape, Sequence[int]]

    def latents(self, index: int) -> Tensor:
        """[C, F, H, W], normalised as the model sees them."""
        ...

    def text(self, index: int) -> Tensor:
        """[L, D]"""
        ...


@dataclass(frozen=True)
class Share:
    """This process's part of every batch. `total` sums a tensor over all processes, in place."""

    rank: int = 0
    world: int = 1
    total: Callable[[Tensor], Tensor] = lambda tensor: tensor


@dataclass(frozen=True)
class TrainState:
    """After a step: `step` steps are done; loss is the mean over its samples."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


class Trainer:
    """A LoRA on a backbone, and what it takes to go on training it.

    Nothing random is kept between steps: order, times, anchors, noise and dropout are functions
    of the seed, the step and the sample's place in the batch.
    """

    def __init__(
        self,
        backbone: Backbone,
        data: Dataset,
        config: TrainConfig,
        *,
        base: str = "",
        device: torch.device | str = "cpu",
        share: Share | None = None,
        tick: Callable[[], None] = lambda: None,
    ):
        """`base` names the backbone's weights: checkpoints go on with no others. `tick` is called
        before every forward pass and may raise to stop there."""
        self.backbone, self.data, self.config, self.base = backbone, data, config, base
        self.device, self.share, self.tick = torch.device(device), share or Share(), tick
        self.sigmas = sigma_range(config.algorithm.expert, _boundary(backbone, config))
        self.held_out = held_out(data.digests, config.keep.validation_clips)
        self._order = Order(_trained(data, self.held_out), config.batch, config.seed)
        if config.batch % self.share.world:
            raise TrainingError(
                f"a batch of {config.batch} cannot be shared evenly by {self.share.world} "
                "processes; make batch a multiple of their number."
            )
        self.step = 0
        with contextlib.ExitStack() as undo:
            lora = config.lora
            self.adapter = attach(
                backbone,
                rank=lora.rank,
                alpha=config.alpha,
                dropout=lora.dropout,
                targets=lora.targets,
                seed=config.seed,
            )
            undo.callback(self.adapter.eject)
            undo.enter_context(prepared(backbone, config.memory, self.device))
            self._parameters = self.adapter.parameters()
            self.optimizer = build_optimizer(
                self._parameters, config.optimizer, on_cpu=config.memory.cpu_optimizer
            )
            self.ema = [p.detach().clone() for p in self._parameters] if self._decay else []
            self._undo = undo.pop_all()

    @property
    def _decay(self) -> float:
        return self.config.optimizer.ema

    def close(self) -> None:
        """Take the LoRA and everything else out of the model again."""
        self._undo.close()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self) -> Iterator[TrainState]:
        """Train up to `config.steps`, one state per step. Raises TrainingError at a bad loss."""
        while self.step < self.config.steps:
            yield self._advance()

    def _advance(self) -> TrainState:
        start, config = time.monotonic(), self.config.optimizer
        lr = learning_rate(self.step, self.config)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward()
        for p in self._parameters:
            if p.grad is not None:
                self.share.total(p.grad)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, config.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise TrainingError(
                f"the loss became {loss} (gradient norm {norm}) in step {self.step + 1}. The last "
                "checkpoint is still good: resume from it with a lower learning rate, or with "
                "fp32 instead of bf16."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self._average()
        self.step += 1
        return TrainState(self.step, loss, lr, norm, time.monotonic() - start)

    def _backward(self) -> float:
        """Gradients of this process's samples of the step; returns the loss of all samples."""
        batch, size = self.config.batch, self.config.micro_batch
        indices = self._order.at(self.step)
        total = torch.zeros((), device=self.device)
        places = range(self.share.rank, batch, self.share.world)
        for first in range(0, len(places), size):
            self.tick()
            part = places[first : first + size]
            seeds = [mix("sample", self.config.seed, self.step, place) for place in part]
            loss = self._losses([indices[p] for p in part], seeds).sum() / batch
            loss.backward()
            total += loss.detach()
        return float(self.share.total(total))

    def _losses(self, indices: list[int], seeds: list[int]) -> Tensor:
        config, draws, texts = self.config.algorithm, [], []
        patch = self.backbone.spec.patch_time
        for index, seed in zip(indices, seeds, strict=True):
            gen = torch.Generator().manual_seed(seed)
            blank = torch.rand((), generator=gen) < config.prompt_dropout
            texts.append(self.data.empty_text if blank else self.data.text(index))
            z0 = with_front(self.data.latents(index)[None].float(), patch)
            draws.append(draw(z0, config, gen, *self.sigmas, patch))
        return self._loss_of(Draw.stack(draws), texts, seeds[0])

    def _loss_of(self, draw: Draw, texts: list[Tensor], seed: int) -> Tensor:
        draw = draw.to(self.device)
        text = stack_text(texts).to(self.device)
        with self.arithmetic(), _seeded(seed, self.device):
            return losses(
                lambda x, sigma: self.backbone.denoise(x, sigma, text),
                draw,
                counted(draw, self.config.algorithm.anchor_loss),
                self.backbone.spec.process,
            )

    def arithmetic(self) -> torch.autocast:
        """The precision that the model computes in."""
        dtype = DTYPES[self.config.memory.dtype]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self._decay, (1 + self.step) / (10 + self.step))
        for slow, p in zip(self.ema, self._parameters, strict=bool(self.ema)):
            slow.lerp_(p, 1 - decay)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The model as it will be used: with the averaged LoRA, where one is kept, no dropout."""
        live = [p.detach().clone() for p in self._parameters] if self.ema else []
        self.adapter.train(False)
        try:
            self._put(self.ema)
            yield
        finally:
            self._put(live)
            self.adapter.train(True)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for p, value in zip(self._parameters, values, strict=bool(values)):
            p.copy_(value)

    def lora_state(self) -> dict[str, Tensor]:
        """The LoRA to save: the averaged one where one is kept."""
        with self.averaged():
            return self.adapter.state()


def learning_rate(step: int, config: TrainConfig) -> float:
    """Warm-up, then constant or a cosine that ends at 0 with the last step."""
    optimizer = config.optimizer
    rate = optimizer.lr * min(1.0, (step + 1) / (optimizer.warmup + 1))
    if optimizer.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return rate


def stack_text(texts: list[Tensor]) -> Tensor:
    """Features [L, D] of one or several lengths -> [B, L, D], short ones padded with zeros as the
    text encoders of these models do."""
    return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)


def _boundary(backbone: Backbone, config: TrainConfig) -> float | None:
    boundary = backbone.spec.expert_boundary
    if config.algorithm.expert != "all" and boundary is None:
        raise TrainingError(
            f"expert is {config.algorithm.expert!r}, but {backbone.spec.name} is a single model; "
            "set expert to 'all'."
        )
    return boundary


def _trained(data: Dataset, without: tuple[int, ...]) -> dict[Shape, list[int]]:
    held = set(without)
    buckets = {s: [i for i in indices if i not in held] for s, indices in data.buckets.items()}
    buckets = {shape: indices for shape, indices in buckets.items() if indices}
    if not buckets:
        clips, out = set(data.digests), {data.digests[i] for i in without}
        raise TrainingError(
            f"the dataset has {len(clips)} clips and {len(out)} of them are held out for "
            "validation; nothing is left to train on. Add clips, or set validation_clips to 0."
        )
    return buckets


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from the global generators: seed them, and leave them as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
