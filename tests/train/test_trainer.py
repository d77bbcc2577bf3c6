"""The loop on a small real Wan: it learns, it resumes bit for bit, it leaves nothing behind."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clips import Clips, config, small_wan

from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.backbones.wan import WAN21_1_3B
from fvg_core.errors import TrainingError
from fvg_core.train.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from fvg_core.train.run import Run, read_history
from fvg_core.train.trainer import Share, Trainer
from fvg_core.train.validation import held_out_loss

CLIPS = 14


def trained(steps: int | None = None, **more) -> dict[str, torch.Tensor]:
    with Trainer(small_wan(), Clips(CLIPS), config(**more)) as trainer:
        for state in trainer.run():
            if state.step == steps:
                break
        return trainer.adapter.state()


def assert_equal(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def assert_close(a: dict, b: dict, tolerance: float) -> None:
    assert a.keys() == b.keys()
    assert max((a[k] - b[k]).abs().max().item() for k in a) < tolerance


def differ(a: dict, b: dict) -> bool:
    return any(not torch.equal(a[k], b[k]) for k in a)


def test_it_learns_and_learns_to_use_the_anchor():
    """Near pure noise only the anchor tells what the other frames hold."""
    settings = config(
        steps=120,
        batch=16,
        micro_batch=16,
        algorithm={"first_frame_share": 1.0, "prompt_dropout": 0.0, "expert": "high"},
        lora={"rank": 16},
        keep={"validation_clips": 8},
    )
    with Trainer(small_wan(), Clips(200), settings) as trainer:
        before = held_out_loss(trainer)
        for _ in trainer.run():
            pass
        after = held_out_loss(trainer)
    assert after.anchored < 0.5 * before.anchored
    assert after.anchored < 0.7 * after.unanchored


def test_the_same_run_twice_is_the_same_bit_for_bit():
    assert_equal(trained(), trained())


def test_the_seed_matters():
    assert differ(trained(), trained(seed=1))


@pytest.mark.parametrize("size", [1, 4])
def test_micro_batches_do_not_change_the_step(size):
    assert_close(trained(micro_batch=size), trained(micro_batch=2), 2e-5)


def test_gradient_checkpointing_does_not_change_the_step():
    checkpointed = trained(memory={"gradient_checkpointing": True})
    assert_close(checkpointed, trained(), 1e-6)


def test_an_optimizer_on_the_cpu_is_the_same_optimizer():
    assert_equal(trained(memory={"cpu_optimizer": True}), trained())


def test_the_model_is_untouched_afterwards():
    wan = small_wan()
    before = copy.deepcopy(wan.module.state_dict())
    modules = dict(wan.module.named_modules())
    own = {name: dict(m.__dict__) for name, m in modules.items()}
    with Trainer(wan, Clips(CLIPS), config(memory={"gradient_checkpointing": True})) as trainer:
        for _ in trainer.run():
            pass
    assert_equal(before, wan.module.state_dict())
    assert dict(wan.module.named_modules()) == modules
    for name, module in wan.module.named_modules():
        assert module.__dict__.get("forward") is own[name].get("forward"), name


@pytest.mark.parametrize("more", [{}, {"optimizer": {"ema": 0.9}}, {"lora": {"dropout": 0.3}}])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, more):
    with Trainer(small_wan(), Clips(CLIPS, long=5), config(**more)) as trainer:
        for state in trainer.run():
            if state.step == 3:
                save_checkpoint(trainer, tmp_path, keep=2)
        straight, averaged = trainer.adapter.state(), trainer.lora_state()
    torch.rand(7)  # whatever else moved the global generator must not matter
    with Trainer(small_wan(), Clips(CLIPS, long=5), config(**more)) as trainer:
        load_checkpoint(trainer, list_checkpoints(tmp_path)[-1])
        assert trainer.step == 3
        for _ in trainer.run():
            pass
        assert_equal(trainer.adapter.state(), straight)
        assert_equal(trainer.lora_state(), averaged)


def test_the_average_is_not_the_last_state():
    with Trainer(small_wan(), Clips(CLIPS), config(optimizer={"ema": 0.9})) as trainer:
        for _ in trainer.run():
            pass
        live = trainer.adapter.state()
        assert differ(trainer.lora_state(), live)
        assert_equal(trainer.adapter.state(), live)  # looking does not change it


def test_two_shares_together_are_the_whole():
    """Both halves of a batch in one process: their gradients and losses sum to the whole's."""

    def first_step(share: Share) -> tuple[float, list[torch.Tensor]]:
        with Trainer(small_wan(), Clips(CLIPS), config(), share=share) as trainer:
            loss = trainer._backward()
            return loss, [p.grad.clone() for p in trainer._parameters]

    whole, gradients = first_step(Share())
    (one, a), (two, b) = (first_step(Share(rank, 2)) for rank in (0, 1))
    assert one + two == pytest.approx(whole, rel=1e-5)
    for g, x, y in zip(gradients, a, b, strict=True):
        torch.testing.assert_close(x + y, g, rtol=1e-4, atol=1e-7)


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


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with Trainer(small_wan(), Clips(CLIPS), config(steps=6)) as trainer:
        run = Run(trainer, tmp_path)
        assert run.resume() == 2
        started(run)
        assert_equal(trainer.adapter.state(), trained())


def test_other_clips_are_another_run(tmp_path):
    with Trainer(small_wan(), Clips(CLIPS), config(steps=2)) as trainer:
        started(Run(trainer, tmp_path))
    with (
        Trainer(small_wan(), Clips(CLIPS + 1), config()) as trainer,
        pytest.raises(TrainingError, match="the dataset"),
    ):
        Run(trainer, tmp_path).resume()


def test_too_few_clips_are_named():
    with pytest.raises(TrainingError, match="2 clips and 2 of them are held out"):
        Trainer(small_wan(), Clips(2), config())


def test_an_expert_of_a_single_model_is_refused():
    wan = small_wan(in_channels=48, out_channels=48)
    with pytest.raises(TrainingError, match="single model"):
        Trainer(wan, Clips(CLIPS), config(algorithm={"expert": "high"}))


def test_an_expert_of_a_1_3b_is_refused():
    wan = DiffusersWan.on_meta(WAN21_1_3B)
    with pytest.raises(TrainingError, match=r"Wan 2\.1 T2V 1\.3B is a single model"):
        Trainer(wan, Clips(CLIPS), config(algorithm={"expert": "low"}))


def test_the_high_noise_expert_sees_high_noise_only():
    seen = []
    wan = small_wan()
    inner = wan.denoise
    wan.denoise = lambda x, sigma, text: seen.append(sigma) or inner(x, sigma, text)
    with Trainer(wan, Clips(CLIPS), config(algorithm={"expert": "high"})) as trainer:
        for _ in trainer.run():
            pass
    noisy = torch.cat(seen).flatten()
    noisy = noisy[noisy > 0]
    assert noisy.min() >= 0.875
    assert len(noisy) > 20


def watched(wan, **more) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The sigmas and texts of every forward pass of a run, sample by sample."""
    seen = []
    inner = wan.denoise

    def denoise(x, sigma, text):
        seen.extend(zip(sigma, text, strict=True))
        return inner(x, sigma, text)

    wan.denoise = denoise
    with Trainer(wan, Clips(CLIPS), config(**more)) as trainer:
        for _ in trainer.run():
            pass
    return seen


def test_every_sample_of_every_step_is_drawn_anew():
    times = [sigma.max().item() for sigma, _ in watched(small_wan())]
    assert len(times) == 6 * 4
    assert len(set(times)) == len(times)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_dropped_prompts_are_the_empty_prompt(share):
    empty = Clips(CLIPS).empty_text
    texts = [text for _, text in watched(small_wan(), algorithm={"prompt_dropout": share})]
    assert {torch.equal(text[: len(empty)], empty) for text in texts} == {share == 1.0}


def after_one_step(**optimizer) -> tuple[float, float]:
    """The largest weight of B, live and as it would be saved. It starts at 0, and AdamW's first
    step is the learning rate for every weight whose gradient is not tiny."""
    settings = {"lr": 1e-3, "weight_decay": 0.0, **optimizer}
    with Trainer(small_wan(), Clips(CLIPS), config(optimizer=settings)) as trainer:
        next(trainer.run())
        largest = lambda state: max(
            w.abs().max().item() for key, w in state.items() if "lora_B" in key
        )
        return largest(trainer.adapter.state()), largest(trainer.lora_state())


def test_the_scheduled_learning_rate_is_the_one_that_steps():
    assert after_one_step()[0] == pytest.approx(1e-3, rel=1e-2)
    assert after_one_step(warmup=9)[0] == pytest.approx(1e-4, rel=1e-2)


def test_gradients_are_clipped():
    """To a norm far below AdamW's eps of 1e-8, so that the step all but vanishes."""
    assert after_one_step(clip=1e-10)[0] < 1e-4


def test_the_average_follows_quickly_at_first():
    """Decay (1 + step) / (10 + step) until that reaches the wanted one: 0.1 in the first step."""
    live, averaged = after_one_step(ema=0.99)
    assert averaged == pytest.approx(0.9 * live, rel=1e-5)


def test_validation_is_without_dropout():
    with Trainer(small_wan(), Clips(CLIPS), config(lora={"dropout": 0.9})) as trainer:
        list(trainer.run())
        assert held_out_loss(trainer) == held_out_loss(trainer)


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


def test_held_out_clips_are_seen_with_their_first_frame_and_without():
    seen = []
    wan = small_wan()
    inner = wan.denoise
    wan.denoise = lambda x, sigma, text: seen.append(sigma == 0) or inner(x, sigma, text)
    with Trainer(wan, Clips(CLIPS), config(keep={"validation_clips": 1})) as trainer:
        held_out_loss(trainer)
    anchored, unanchored = seen
    assert anchored[:, 0].all()
    assert not anchored[:, 1:].any()
    assert not unanchored.any()
