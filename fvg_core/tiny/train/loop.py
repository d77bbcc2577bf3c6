"""What every stage shares: a training loop that reports, checkpoints and resumes exactly."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

SAVE_EVERY = 60.0  # seconds
LOG_EVERY = 50  # steps
WARMUP = 100  # steps
EMA_DECAY = 0.999
# Of Newton and Schulz's iteration in a step of Muon: five by default, and a fifth of a step's time
# with three. Chosen together with the rate (docs/reproduction.md), not by itself.
NS_STEPS = 3


def cosine(share: float) -> float:
    """From 1 to 0.02 of the learning rate, half a wave."""
    return max(0.5 * (1 + math.cos(math.pi * share)), 0.02)


def plateau(share: float) -> float:
    """All of the learning rate, and a straight way down to 0.01 in the last fifth: a run to which
    steps are added later goes on as if it had been planned so."""
    return min(1.0, max((1 - share) / 0.2, 0.01))


def run(
    params: Iterable[nn.Parameter],
    loss_at: Callable[[int, torch.Generator], Tensor],
    *,
    state: dict[str, nn.Module],
    steps: int,
    lr: float,
    checkpoint: Path,
    matrices: Iterable[nn.Parameter] = (),
    ema: dict[str, nn.Module] | None = None,
    rate: Callable[[float], float] = cosine,
    seconds: float = math.inf,
) -> bool:
    """Minimise `loss_at(step, generator)` in place: those of `params` that are among `matrices`
    with Muon, the others with AdamW. True when all steps are done, False when `seconds` were over
    before.

    rate: the share of `lr` at a share of the steps, whatever a checkpoint was trained with.

    A step draws its randomness only from its generator, which is seeded by the step: a run that
    was killed and resumed from `checkpoint` sees the same data as one that was not. In a process
    group (torchrun) every process draws its own share of a step, and the gradients are averaged.
    `ema` holds modules that follow those of `state` with the same keys.
    """
    params = [p for p in params if p.requires_grad]
    optimizers = _optimizers(params, matrices)
    keep = {**state, **{f"ema.{k}": m for k, m in (ema or {}).items()}}
    start = done = _resume(checkpoint, keep, optimizers)
    started = saved = shown = time.monotonic()
    mean = 0.0
    rank, world = processes()
    for step in range(start, steps):
        if _over(started, seconds):
            break
        for group in (group for each in optimizers for group in each.param_groups):
            group["lr"] = lr * (min(1.0, (step + 1) / WARMUP) * rate(step / steps))
        loss = loss_at(step, torch.Generator().manual_seed(step * world + rank))
        for each in optimizers:
            each.zero_grad(set_to_none=True)
        loss.backward()
        if world > 1:
            _average(params, world)
        nn.utils.clip_grad_norm_(params, 1.0)
        for each in optimizers:
            each.step()
        done = step + 1
        _follow(ema or {}, state, min(EMA_DECAY, (1 + step) / (10 + step)))
        mean += loss.item() / LOG_EVERY
        if done % LOG_EVERY == 0 and not rank:
            speed = LOG_EVERY / (time.monotonic() - shown)
            left = (steps - done) / speed / 60
            print(
                f"{checkpoint.stem} {done}/{steps} loss {mean:.4f} "
                f"{speed:.2f} it/s, {left:.1f} min left",
                flush=True,
            )
            shown, mean = time.monotonic(), 0.0
        if not rank and time.monotonic() - saved > SAVE_EVERY:
            _save(checkpoint, done, keep, optimizers)
            saved = time.monotonic()
    if not rank and done > start:
        _save(checkpoint, done, keep, optimizers)
    wait()
    return done >= steps


def _optimizers(params: list[nn.Parameter], matrices: Iterable[nn.Parameter]) -> list[Optimizer]:
    """Both take the same learning rate: Muon's steps are scaled to the size of AdamW's
    (arXiv 2502.16982)."""
    chosen = {id(p) for p in matrices}
    others = [p for p in params if id(p) not in chosen]
    made: list[Optimizer] = [AdamW(others, betas=(0.9, 0.99), weight_decay=0.01)]
    if chosen:
        inner = [p for p in params if id(p) in chosen]
        made.append(
            Muon(inner, weight_decay=0.01, adjust_lr_fn="match_rms_adamw", ns_steps=NS_STEPS)
        )
    return made


def processes() -> tuple[int, int]:
    """The rank of this process and how many there are, in a process group or alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def wait() -> None:
    """Until all processes are here: the others read what one has written."""
    if dist.is_initialized():
        dist.barrier()


def _over(started: float, seconds: float) -> bool:
    """Whether the time is over, by the clock of the first process: all of them stop at one step."""
    over = torch.tensor(float(time.monotonic() - started >= seconds))
    if dist.is_initialized():
        dist.broadcast(over, 0)
    return bool(over)


def _average(params: list[nn.Parameter], world: int) -> None:
    grads = [p.grad for p in params if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads]) / world
    dist.all_reduce(flat)
    for g, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        g.copy_(mean.view_as(g))


@torch.no_grad()
def _follow(ema: dict[str, nn.Module], state: dict[str, nn.Module], decay: float) -> None:
    for name, slow in ema.items():
        fast = dict(state[name].named_parameters())
        for key, p in slow.named_parameters():
            p.lerp_(fast[key], 1 - decay)


def _save(path: Path, step: int, keep: dict[str, nn.Module], optimizers: list[Optimizer]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    modules = {k: m.state_dict() for k, m in keep.items()}
    states = [each.state_dict() for each in optimizers]
    torch.save({"step": step, "modules": modules, "optimizers": states}, part)
    os.replace(part, path)


def _resume(path: Path, keep: dict[str, nn.Module], optimizers: list[Optimizer]) -> int:
    if not path.exists():
        return 0
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for name, module in keep.items():
        module.load_state_dict(saved["modules"][name])
    for each, state in zip(optimizers, saved["optimizers"], strict=True):
        each.load_state_dict(state)
    return saved["step"]
