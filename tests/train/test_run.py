"""A run in its folder: what it writes, and how it goes on after an interruption or a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import CLIPS, Clips, assert_equal, config, small_wan, trained

from fvg_core.errors import TrainingError
from fvg_core.train.checkpoint import list_checkpoints
from fvg_core.train.run import Run, read_history
from fvg_core.train.trainer import Trainer


class Poisoned(Clips):
    def latents(self, index):
        return super().latents(index) * float("nan")


def test_a_loss_that_is_no_number_stops_before_it_does_harm(tmp_path):
    with Trainer(small_wan(), Poisoned(CLIPS), config()) as trainer:
        before = trainer.adapter.state()
        with pytest.raises(TrainingError, match="loss became nan"), Run(trainer, tmp_path) as run:
            list(run.steps())
        assert_equal(trainer.adapter.state(), before)
    assert not list_checkpoints(tmp_path / "checkpoints")


def test_a_run_is_interrupted_and_goes_on(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config()) as trainer:
        straight = [p.state.loss for p in started(Run(trainer, tmp_path / "straight"))]

    calls = 0

    def interrupt() -> None:
        nonlocal calls
        calls += 1
        if calls == 6:  # in the middle of step 3, of two passes each
            raise KeyboardInterrupt

    folder = tmp_path / "cut"
    settings = config(keep={"checkpoint_every": 0, "validate_every": 0})
    with Trainer(small_wan(), Clips(CLIPS), settings, tick=interrupt) as trainer:
        run = Run(trainer, folder)
        with pytest.raises(KeyboardInterrupt):
            started(run)
    assert [p.name for p in list_checkpoints(run.checkpoints)] == ["step-00000002.safetensors"]
    with Trainer(small_wan(), Clips(CLIPS), settings) as trainer:
        run = Run(trainer, folder)
        assert run.resume() == 2
        started(run)
    written = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [h["step"] for h in written] == [1, 2, 3, 4, 5, 6]
    assert [h["loss"] for h in written] == straight


def started(run: Run) -> list:
    with run:
        return list(run.steps())


def test_what_a_run_writes(tmp_path):
    drawn = []

    def sampler(folder):
        drawn.append(folder.name)
        return []

    with Trainer(small_wan(), Clips(CLIPS), config(keep={"checkpoints": 2})) as trainer:
        progress = started(Run(trainer, tmp_path, sampler=sampler))
    assert drawn == ["step-00000003", "step-00000006"]
    assert [p.state.step for p in progress if p.held_out] == [3, 6]
    names = [p.name for p in list_checkpoints(tmp_path / "checkpoints")]
    assert names == ["step-00000004.safetensors", "step-00000006.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text())["batch"] == 4
    assert (tmp_path / "loss.png").stat().st_size > 500
    assert not list(tmp_path.rglob("*.part"))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from clips import Clips, config, small_wan
from fvg_core.train.checkpoint import save_checkpoint
from fvg_core.train.trainer import Trainer

with Trainer(small_wan(), Clips(14), config()) as trainer:
    folder, steps = Path(sys.argv[1]), trainer.run()
    next(steps)
    print(save_checkpoint(trainer, folder, keep=3).name)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    next(steps)
    try:
        save_checkpoint(trainer, folder, keep=3)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, said = done.stdout.splitlines()
    assert said.startswith("TrainingError the checkpoint step-00000002")
    assert "Free some space" in said
    assert [p.name for p in tmp_path.iterdir()] == [first]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config()) as trainer:
        started(Run(trainer, tmp_path))
    newest = list_checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:200])
    with Trainer(small_wan(), Clips(CLIPS), config()) as trainer:
        run = Run(trainer, tmp_path)
        assert run.resume() == 4
        assert newest.name in run.notes[0]
        assert [h["step"] for h in run.history] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seed": 5}, "seed 0 -> 5"),
        ({"lora": {"rank": 8}}, "lora"),
        ({"algorithm": {"anchor_loss": "paper"}}, "algorithm"),
        ({"keep": {"validation_clips": 1}}, "validation_clips"),
        ({"optimizer": {"warmup": 3, "lr": 1e-3}}, "'warmup': 0"),
    ],
)
def test_a_run_with_other_settings_is_not_continued(tmp_path, more, said):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with (
        Trainer(small_wan(), Clips(CLIPS), config(**more)) as trainer,
        pytest.raises(TrainingError, match="other settings") as raised,
    ):
        Run(trainer, tmp_path).resume()
    assert said in str(raised.value)


def test_a_run_on_another_model_is_not_continued(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2), base="high noise") as trainer:
        started(Run(trainer, tmp_path))
    with (
        Trainer(small_wan(), Clips(CLIPS), config(), base="low noise") as trainer,
        pytest.raises(TrainingError, match=r"other settings \(the model\)"),
    ):
        Run(trainer, tmp_path).resume()


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with Trainer(small_wan(), Clips(CLIPS), config(steps=6)) as trainer:
        run = Run(trainer, tmp_path)
        assert run.resume() == 2
        started(run)
        assert_equal(trainer.adapter.state(), trained())


@pytest.mark.parametrize("on_cpu", [False, True])
def test_a_run_goes_on_with_a_lower_learning_rate(tmp_path, on_cpu):
    more = {"memory": {"cpu_optimizer": on_cpu}}
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2, **more)) as trainer:
        started(Run(trainer, tmp_path))
        before = trainer.adapter.state()
    lower = config(optimizer={"lr": 1e-9}, **more)
    with Trainer(small_wan(), Clips(CLIPS), lower) as trainer:
        run = Run(trainer, tmp_path)
        assert run.resume() == 2
        assert {p.state.lr for p in started(run)} == {1e-9}
        after = trainer.adapter.state()
    assert max((after[k] - before[k]).abs().max() for k in after) < 1e-6


def test_a_finished_run_is_none_of_another_learning_rate(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    lower = config(steps=2, optimizer={"lr": 1e-9})
    with (
        Trainer(small_wan(), Clips(CLIPS), lower) as trainer,
        pytest.raises(TrainingError, match=r"other settings \(optimizer"),
    ):
        Run(trainer, tmp_path).resume()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_run_goes_on_with_smaller_micro_batches(tmp_path, dropout):
    lora = {"lora": {"dropout": dropout}}
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2, **lora)) as trainer:
        started(Run(trainer, tmp_path))
    with Trainer(small_wan(), Clips(CLIPS), config(micro_batch=1, **lora)) as trainer:
        run = Run(trainer, tmp_path)
        assert run.resume() == 2
        assert [p.state.step for p in started(run)] == [3, 4, 5, 6]


def test_other_clips_are_another_run(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with (
        Trainer(small_wan(), Clips(CLIPS + 1), config()) as trainer,
        pytest.raises(TrainingError, match="the dataset"),
    ):
        Run(trainer, tmp_path).resume()


def test_a_validation_that_is_interrupted_does_not_undo_its_step(tmp_path):
    def interrupted(folder):
        raise KeyboardInterrupt

    with Trainer(small_wan(), Clips(CLIPS), config(keep={"checkpoint_every": 0})) as trainer:
        run = Run(trainer, tmp_path, sampler=interrupted)
        with pytest.raises(KeyboardInterrupt):
            started(run)
    assert [h["step"] for h in read_history(tmp_path)] == [1, 2, 3]
    assert [p.name for p in list_checkpoints(run.checkpoints)] == ["step-00000003.safetensors"]


def test_a_history_line_cut_short_by_a_kill_is_left_out(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with open(tmp_path / "history.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 3, "lo')
    assert [h["step"] for h in read_history(tmp_path)] == [1, 2]
