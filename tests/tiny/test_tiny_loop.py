"""The training loop that all stages share: alone, resumed, and in two processes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing import spawn
from torch.optim import AdamW, Muon

from fvg_core.tiny.train.loop import NS_STEPS, _average, run

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


class Sum(nn.Module):
    """A matrix and a vector that learn a sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.outer = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))


def learn(checkpoint: Path, steps: int) -> Sum:
    model = Sum()
    run(
        model.parameters(), lambda step, gen: error(model, gen), state={"model": model},
        matrices=[model.inner.weight], steps=steps, lr=0.1, checkpoint=checkpoint,
        rate=lambda share: 1.0,
    )  # fmt: skip
    return model


def test_matrices_learn_by_muon_and_the_others_by_adamw(tmp_path: Path):
    by_hand = Sum()
    error(by_hand, torch.Generator().manual_seed(0)).backward()
    nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
    first = 0.1 / 100  # of the steps in which the rate warms up
    Muon(
        [by_hand.inner.weight], first, 0.01, adjust_lr_fn="match_rms_adamw", ns_steps=NS_STEPS
    ).step()
    AdamW([by_hand.outer.weight], first, (0.9, 0.99), weight_decay=0.01).step()
    learnt = learn(tmp_path / "a.pt", 1).state_dict()
    torch.testing.assert_close(learnt, by_hand.state_dict(), rtol=0, atol=0)


def test_a_run_with_matrices_goes_on_from_its_checkpoint(tmp_path: Path):
    whole = learn(tmp_path / "whole.pt", 6).state_dict()
    learn(tmp_path / "parts.pt", 3)
    torch.testing.assert_close(learn(tmp_path / "parts.pt", 6).state_dict(), whole, rtol=0, atol=0)


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
