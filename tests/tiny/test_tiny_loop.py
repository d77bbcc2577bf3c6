"""The training loop that all stages share: alone, resumed, and in two processes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing import spawn

from fvg_core.tiny.train.loop import _average, run

WORLD = 2


def error(model: nn.Module, gen: torch.Generator) -> Tensor:
    x = torch.randn(4, 3, generator=gen)
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


def train(checkpoint: Path, loss_at=None, *, steps: int = 6, lr: float = 0.1, **given) -> nn.Module:
    """A linear layer that learns a sum, or goes on with it."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    loss_at = loss_at or (lambda model, step, gen: error(model, gen))
    run(
        model.parameters(), lambda step, gen: loss_at(model, step, gen), state={"model": model},
        steps=steps, lr=lr, checkpoint=checkpoint, **given,
    )  # fmt: skip
    return model


def test_a_changed_rate_counts_from_the_next_step(tmp_path: Path):
    learnt = train(tmp_path / "a.pt", steps=3).state_dict()
    still = train(tmp_path / "a.pt", steps=6, lr=0.0).state_dict()
    torch.testing.assert_close(still, learnt, rtol=0, atol=0)
    on = train(tmp_path / "a.pt", steps=9).state_dict()
    assert not torch.equal(on["weight"], learnt["weight"])


def test_two_processes_train_as_one_that_sees_both_their_shares(tmp_path: Path):
    spawn(_process, (str(tmp_path),), nprocs=WORLD)

    def both(model: nn.Module, step: int, gen: torch.Generator) -> Tensor:
        shares = (torch.Generator().manual_seed(step * WORLD + rank) for rank in range(WORLD))
        return sum(error(model, share) for share in shares) / WORLD

    expected = train(tmp_path / "alone.pt", both).state_dict()
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected)


def _process(rank: int, folder: str) -> None:
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=WORLD)
    unused, used = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    used.grad = torch.arange(3.0) + 10 * rank
    _average([unused, used], WORLD)
    assert used.grad.tolist() == [5, 6, 7]
    assert unused.grad is None
    checkpoint = Path(folder) / "both.pt"
    train(checkpoint, seconds=math.inf if rank else 0.0)  # the first one's time is over
    assert not checkpoint.exists()
    model = train(checkpoint)
    assert torch.load(checkpoint, weights_only=True)["step"] == 6
    torch.save(model.state_dict(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
