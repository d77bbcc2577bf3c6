"""Which prompts can be judged, and what three judged videos say."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from contradictions import contradict

from fvg_core.categories import CATEGORIES
from fvg_core.diagnose.branches import FVG, OWN, T2V
from fvg_core.diagnose.scene import judged_prompt
from fvg_core.diagnose.verdict import Judged, judge, verdict
from fvg_core.errors import PromptError
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.render import render
from fvg_core.tiny.scenes import sample_scene, stage
from fvg_core.tiny.words import Actor, Prompt

RIGHT = Judged(True, 1, 1)
MOTION = Judged(True, 1, 0)
FRAME = Judged(False, 0, 0)


def test_a_prompt_is_read_with_all_its_words():
    prompt = judged_prompt("The red square moves to the left while a white triangle rests.")
    first, second = Actor("red", "square", "left"), Actor("white", "triangle", "rests")
    assert prompt == Prompt("motion_binding", (first, second), "", "")


@pytest.mark.parametrize(
    "prompt",
    ["a cat runs through the rain", "two red balls move left", "an orange ball moves right", ""],
)
def test_a_prompt_beyond_the_scorer_is_refused(prompt: str):
    with pytest.raises(PromptError, match="cannot be judged exactly"):
        judged_prompt(prompt)


@pytest.mark.parametrize(
    ("t2v", "own", "fvg", "kind"),
    [
        (RIGHT, MOTION, FRAME, "none"),
        (MOTION, RIGHT, RIGHT, "motion"),
        (FRAME, FRAME, RIGHT, "composition"),
        (FRAME, FRAME, FRAME, "anchor"),
        (FRAME, FRAME, MOTION, "both"),
        (MOTION, MOTION, MOTION, "motion"),
    ],
)
def test_one_thing_changed_at_a_time_tells_the_cause(t2v, own, fvg, kind):
    assert verdict({T2V: t2v, OWN: own, FVG: fvg})[0] == kind


def test_every_outcome_has_a_verdict_in_words():
    for ways in itertools.product((RIGHT, MOTION, FRAME), repeat=3):
        kind, words = verdict(dict(zip((T2V, OWN, FVG), ways, strict=True)))
        assert kind in ("none", "motion", "composition", "anchor", "both")
        assert words.endswith((".", ")."))


@pytest.mark.parametrize("category", CATEGORIES)
def test_drawn_videos_of_every_category_are_judged_right_and_of_others_not(category: str):
    rng = random.Random(4)
    for _ in range(4):
        scene = sample_scene(rng, category, held_out=None)
        asked = judged_prompt(text(prompt_spans(scene.prompt, rng)))
        assert judge(render([scene])[0].numpy(), asked) == RIGHT
        other = contradict(scene.prompt, rng)
        staged = next(filter(None, (stage(other, rng) for _ in range(20))))
        wrong = judge(render([staged])[0].numpy(), asked)
        assert not wrong.right
        if category in ("consistent_attr", "generative_numeracy"):
            assert not wrong.first_frame


def staged(prompt: Prompt) -> np.ndarray:
    return render([stage(prompt, random.Random(1))])[0].numpy()


def test_what_stands_still_fails_in_motion_and_who_is_another_in_the_frame():
    prompt = judged_prompt("a red ball moves right and a blue square stays still on a gray ground")
    video = staged(prompt)
    assert judge(np.repeat(video[:1], len(video), axis=0), prompt) == MOTION
    ball, square = prompt.actors
    swapped = replace(prompt, actors=(replace(ball, color="blue"), replace(square, color="red")))
    found = judge(staged(swapped), prompt)
    assert found == FRAME
    assert found.words == (
        "first frame wrong; video wrong (who is there 0.00, all that is asked 0.00)"
    )


def test_a_wrong_side_is_a_wrong_frame_and_no_failure_of_motion():
    prompt = judged_prompt("a red ball is above a blue square on a gray ground")
    wrong = judge(staged(replace(prompt, relation="below")), prompt)
    assert (wrong.first_frame, wrong.composition, wrong.score) == (False, 1, 0)
    assert verdict({T2V: wrong, OWN: wrong, FVG: RIGHT})[0] == "composition"
