"""A training run in its folder: what it writes on the way, and how it is taken up again.

config.json      the settings
history.jsonl    one line per step
loss.png         the curve
checkpoints/     the last few states, to go on from
validation/      sampled videos, by step
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import TrainingError
from ..files import write_whole
from .checkpoint import DamagedCheckpointError, list_checkpoints, load_checkpoint, save_checkpoint
from .curve import draw_curve
from .trainer import Trainer, TrainState
from .validation import HeldOutLoss, held_out_loss


@dataclass(frozen=True)
class Progress:
    """After a step. `held_out` and `samples` are there when this step was validated."""

    state: TrainState
    held_out: HeldOutLoss | None = None
    samples: tuple[Path, ...] = ()


class Run:
    """Use as a context manager: leaving it by an interruption saves what was trained.

    `sampler(folder)` draws the validation videos into a new folder and returns their paths.
    `leader` is False in all but one of several processes, which then write nothing.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        *,
        sampler: Callable[[Path], list[Path]] | None = None,
        leader: bool = True,
    ):
        self.trainer, self.folder, self.leader = trainer, folder, leader
        self._sampler = sampler
        self.checkpoints = folder / "checkpoints"
        self.notes: list[str] = []  # what a person should know: damaged checkpoints skipped
        self.history: list[dict] = []
        self._saved = -1

    def resume(self) -> int:
        """Go to the newest checkpoint that is whole, if there is one. Returns its step."""
        for path in reversed(list_checkpoints(self.checkpoints)):
            try:
                load_checkpoint(self.trainer, path)
            except DamagedCheckpointError as error:
                self.notes.append(f"{error} Went back to the one before it.")
                continue
            self._saved = self.trainer.step
            break
        self.history = [h for h in read_history(self.folder) if h["step"] <= self.trainer.step]
        return self.trainer.step

    def __enter__(self) -> Run:
        if self.leader:
            self.folder.mkdir(parents=True, exist_ok=True)
            config = self.trainer.config.model_dump_json(indent=2)
            write_whole(self.folder / "config.json", f"{config}\n".encode())
            lines = "".join(json.dumps(h) + "\n" for h in self.history)
            write_whole(self.folder / "history.jsonl", lines.encode())
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        bad = kind is not None and issubclass(kind, TrainingError)
        if not bad and self.trainer.step > max(self._saved, 0):
            self.save()

    def steps(self) -> Iterator[Progress]:
        """Train to the end, one progress per step."""
        keep = self.trainer.config.keep
        for state in self.trainer.run():
            progress = Progress(state)
            last = state.step == self.trainer.config.steps
            try:
                if keep.validate_every and (state.step % keep.validate_every == 0 or last):
                    progress = self._validate(state)
            finally:  # the step is done, even where its validation is interrupted
                self._record(progress)
            if keep.checkpoint_every and (state.step % keep.checkpoint_every == 0 or last):
                self.save()
            yield progress

    def save(self) -> None:
        if self.leader:
            save_checkpoint(self.trainer, self.checkpoints, self.trainer.config.keep.checkpoints)
            self._saved = self.trainer.step
            draw_curve(self.history).save(self.folder / "loss.png")

    def _validate(self, state: TrainState) -> Progress:
        samples: list[Path] = []
        if self._sampler is not None and self.leader:
            samples = self._sampler(self.folder / "validation" / f"step-{state.step:08d}")
        return Progress(state, held_out_loss(self.trainer), tuple(samples))

    def _record(self, progress: Progress) -> None:
        record = asdict(progress.state)
        if progress.held_out is not None:
            record["held_out"] = asdict(progress.held_out)
        self.history.append(record)
        if self.leader:
            with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def read_history(folder: Path) -> list[dict]:
    """One record per step of a run: step, loss, lr, ..., and held_out where it was measured."""
    path = folder / "history.jsonl"
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:  # a line cut short by a kill
            break
    return records
