"""What a checkpoint holds of an optimizer."""

from __future__ import annotations

import torch
from clips import CLIPS, Clips, assert_equal, config, small_wan

from fvg_core.train.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from fvg_core.train.trainer import Trainer

_NESTED = "quantised"


class Nesting(torch.optim.AdamW):
    """Gives its moments in a dict within, and a table that all parameters share, as
    bitsandbytes' 8-bit AdamW does."""

    table = torch.arange(4.0)

    def state_dict(self) -> dict:
        given = super().state_dict()
        state = {
            i: {
                "step": entries["step"],
                _NESTED: {k: v for k, v in entries.items() if k != "step"},
                "table": self.table,
                "blocks": 2,
            }
            for i, entries in given["state"].items()
        }
        return {**given, "state": state}

    def load_state_dict(self, given: dict) -> None:
        assert all(entries["blocks"] == 2 for entries in given["state"].values())
        assert all(torch.equal(e["table"], self.table) for e in given["state"].values())
        super().load_state_dict(given)


def training() -> Trainer:
    trainer = Trainer(small_wan(), Clips(CLIPS), config())
    trainer.optimizer = Nesting(trainer.adapter.parameters())
    return trainer


def test_an_optimizer_that_nests_and_shares_its_state_goes_on_in_the_same_bits(tmp_path):
    with training() as trainer:
        for state in trainer.run():
            if state.step == 3:
                save_checkpoint(trainer, tmp_path, keep=1)
        straight = trainer.adapter.state()
    with training() as trainer:
        load_checkpoint(trainer, list_checkpoints(tmp_path)[-1])
        list(trainer.run())
        assert_equal(trainer.adapter.state(), straight)
