"""The checklist of a report: what a model that sees the picture is asked."""

import pytest

from fvg_core.prompts import rewrite


@pytest.mark.parametrize(
    ("prompt", "questions"),
    [
        (
            "A vase of roses stands between two silver candlesticks.",
            {
                ("Is there a vase in the picture?", "vase"),
                ("Are there roses in the picture?", "roses"),
                ("Are there exactly 2 candlesticks in the picture?", "candlesticks"),
                ("Are the candlesticks silver?", "candlesticks"),
                ("Is the vase between the candlesticks?", "vase"),
            },
        ),
        (
            "a red ball moves right on a gray background",
            {
                ("Is there a ball in the picture?", "ball"),
                ("Is the ball red?", "ball"),
                ("Is the ball on the left?", "ball"),
            },
        ),
        (
            "An owl sits to the left of a lamp, then it hoots.",
            {
                ("Is there an owl in the picture?", "owl"),
                ("Is there a lamp in the picture?", "lamp"),
                ("Is the owl to the left of the lamp?", "owl"),
            },
        ),
    ],
)
def test_questions(prompt, questions):
    asked = rewrite(prompt).report["checklist"]
    assert {(q["question"], q["entity"]) for q in asked} == questions
