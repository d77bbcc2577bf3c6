"""The checks of a report can fail: each sees its own fault in a bad first-frame prompt."""

import pytest

from fvg_core.prompts.checks import check
from fvg_core.prompts.phrases import read_phrases
from fvg_core.prompts.tagger import tag
from fvg_core.prompts.tokens import tokenise

PROMPT = "Two brown dogs run across a snowy field."


def failures(output: str, prompt: str = PROMPT) -> set[str]:
    phrases = read_phrases(tag(tokenise(prompt)))
    return {verdict["name"] for verdict in check(phrases, output, []) if not verdict["passed"]}


def test_a_good_rewrite_passes():
    assert not failures("Two brown dogs standing in a snowy field.")


@pytest.mark.parametrize(
    ("fault", "output"),
    [
        ("entities", "Two brown dogs standing on snowy ground."),
        ("counts", "Some brown dogs standing in a snowy field."),
        ("attributes", "Two dogs standing in a snowy field."),
        ("no motion", "Two brown dogs run in a snowy field."),
        ("no motion", "Two brown dogs running in a snowy field."),
        ("no motion", "Two brown dogs in a snowy field, then near a log."),
        ("one paragraph", "Two brown dogs standing\nin a snowy field."),
        ("one paragraph", ""),
        ("length", "Two brown dogs standing in a snowy field, " + "very " * 40 + "cold."),
        ("length", ""),
    ],
)
def test_a_fault_is_seen(fault, output):
    assert fault in failures(output)


def test_another_language_is_reported():
    assert "english" in failures("一只猫在跑", prompt="一只猫在跑")
