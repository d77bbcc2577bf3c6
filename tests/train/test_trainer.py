"""The loop on a small real Wan: it learns, it resumes bit for bit, it leaves nothing behind."""

from __future__ import annotations

import copy

import pytest
import torch
from clips import CLIPS, Clips, assert_equal, config, small_wan, trained

from fvg_core.backbones.diffusers_models import on_meta
from fvg_core.backbones.wan import WAN21_1_3B
from fvg_core.errors import TrainingError
from fvg_core.train.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from fvg_core.train.trainer import Share, Trainer
from fvg_core.train.validation import held_out_loss


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


def test_other_pieces_of_a_held_out_clip_are_not_trained_on():
    data = Clips(CLIPS)
    data.digests = tuple(f"clip {i // 3}" for i in range(CLIPS))
    with Trainer(small_wan(), data, config(keep={"validation_clips": 2})) as trainer:
        seen = {i for step in range(20) for i in trainer._order.at(step)}
        held = {data.digests[i] for i in trainer.held_out}
    assert len(held) == 2
    assert seen == {i for i in range(CLIPS) if data.digests[i] not in held}
    assert seen.isdisjoint(trainer.held_out)


def test_too_few_clips_are_named():
    with pytest.raises(TrainingError, match="2 clips and 2 of them are held out"):
        Trainer(small_wan(), Clips(2), config())


def test_an_expert_of_a_single_model_is_refused():
    wan = small_wan(in_channels=48, out_channels=48)
    with pytest.raises(TrainingError, match="single model"):
        Trainer(wan, Clips(CLIPS), config(algorithm={"expert": "high"}))


def test_an_expert_of_a_1_3b_is_refused():
    wan = on_meta(WAN21_1_3B)
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
