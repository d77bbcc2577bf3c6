"""Several processes that train one LoRA, started by `accelerate launch`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from ..errors import TrainingError
from .trainer import Share

_PATIENCE = timedelta(days=7)  # others wait while the leader encodes the clips


@dataclass(frozen=True)
class Processes:
    """This process among all. `wait` returns when all have called it."""

    share: Share
    device: torch.device
    wait: Callable[[], None]

    @property
    def leader(self) -> bool:
        """The one process that writes and speaks."""
        return self.share.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of them. All have to ask."""
        return bool(self.share.total(torch.tensor(float(flag), device=self.device)))


def join() -> Processes:
    """Meet the other processes, if there are any. Raises TrainingError without accelerate."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return Processes(Share(), device, lambda: None)
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise TrainingError(
            "training in several processes needs the package accelerate, which is not installed. "
            "Install it (pip install accelerate), or start a single process."
        ) from error
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    if state.num_processes != world:  # each would train and write on its own
        raise TrainingError(
            f"{world} processes were started, but accelerate joined {state.num_processes}. Start "
            "them by `accelerate launch --multi_gpu --num_processes N`."
        )

    def total(tensor: Tensor) -> Tensor:
        torch.distributed.all_reduce(tensor)
        return tensor

    share = Share(state.process_index, state.num_processes, total)
    return Processes(share, state.device, state.wait_for_everyone)
