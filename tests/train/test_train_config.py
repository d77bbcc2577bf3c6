"""Settings: defaults of the paper, and clear words for wrong ones."""

from __future__ import annotations

import pytest

from fvg_core.errors import TrainingError
from fvg_core.train.config import TrainConfig
from fvg_core.train.trainer import learning_rate


def test_the_defaults_are_the_paper_s():
    config = TrainConfig()
    assert (config.steps, config.batch, config.lora.rank) == (6000, 16, 256)
    assert config.alpha == 256
    assert config.algorithm.time_density == "uniform"
    assert config.algorithm.first_frame_share == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stepz": 3}, "stepz"),
        ({"lora": {"rnk": 8}}, "lora.rnk"),
        ({"lora": {"rank": 0}}, "lora.rank = 0"),
        ({"algorithm": {"anchor_loss": "mask"}}, "'masked' or 'paper'"),
        ({"optimizer": {"lr": -1}}, "optimizer.lr"),
        ({"steps": 0, "batch": 0}, "batch = 0"),
    ],
)
def test_a_wrong_setting_is_named(values, said):
    with pytest.raises(TrainingError, match="settings are wrong") as raised:
        TrainConfig.parse(values)
    assert said in str(raised.value)


def test_a_config_survives_json():
    config = TrainConfig.parse({"lora": {"rank": 8, "alpha": 4}, "optimizer": {"ema": 0.9}})
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_warm_up_and_cosine():
    config = TrainConfig.parse(
        {"steps": 100, "optimizer": {"lr": 1.0, "warmup": 9, "schedule": "cosine"}}
    )
    rates = [learning_rate(s, config) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9], abs=0.03)
    assert rates[99] < 1e-3
    constant = TrainConfig.parse({"optimizer": {"lr": 1.0, "warmup": 0}})
    assert {learning_rate(s, constant) for s in (0, 5, 5999)} == {1.0}
