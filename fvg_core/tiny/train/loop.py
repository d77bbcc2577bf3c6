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

SAVE_EVERY = 60.0  # seconds


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
    warmup: int = 100,
    ema: dict[str, nn.Module] | None = None,
    ema_decay: float = 0.999,
    log_every: int = 50,
    rate: Callable[[float], float] = cosine,
    seconds: float = math.inf,
) -> bool:
    """Minimise `loss_at(step, generator)` with AdamW, in place. True when all steps are done,
    False when `seconds` were over before.

    rate: the share of `lr` at a share of the steps.

    A step draws its randomness only from its generator, which is seeded by the step: a run that
    was killed and resumed from `checkpoint` sees the same data as one that was not. In a process
    group (torchrun) every process draws its own share of a step, and the gradients are averaged.
    `ema` holds modules that follow those of `state` with the same keys.
    """
    params = [p for p in params if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / warmup) * rate(s / steps)
    )
    keep = {**state, **{f"ema.{k}": m for k, m in (ema or {}).items()}}
    start = _resume(checkpoint, keep, optimizer, schedule)
    started = saved = shown = time.monotonic()
    mean = 0.0
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    for step in range(start, steps):
        if time.monotonic() - started >= seconds:
            if step > start and not rank:
                _save(checkpoint, step, keep, optimizer, schedule)
            return False
        loss = loss_at(step, torch.Generator().manual_seed(step * world + rank))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if world > 1:
            _average(params, world)
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        schedule.step()
        _follow(ema or {}, state, min(ema_decay, (1 + step) / (10 + step)))
        mean += loss.item() / log_every
        if (step + 1) % log_every == 0 and not rank:
            speed = log_every / (time.monotonic() - shown)
            left = (steps - step - 1) / speed / 60
            print(
                f"{checkpoint.stem} {step + 1}/{steps} loss {mean:.4f} "
                f"{speed:.2f} it/s, {left:.1f} min left",
                flush=True,
            )
            shown, mean = time.monotonic(), 0.0
        if rank:
            continue
        if time.monotonic() - saved > SAVE_EVERY or step + 1 == steps:
            _save(checkpoint, step + 1, keep, optimizer, schedule)
            saved = time.monotonic()
    return True


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


def _save(path: Path, step: int, keep: dict[str, nn.Module], optimizer, schedule) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    modules = {k: m.state_dict() for k, m in keep.items()}
    torch.save(
        {
            "step": step,
            "modules": modules,
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        },
        part,
    )
    os.replace(part, path)


def _resume(path: Path, keep: dict[str, nn.Module], optimizer, schedule) -> int:
    if not path.exists():
        return 0
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for name, module in keep.items():
        module.load_state_dict(saved["modules"][name])
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    return saved["step"]
