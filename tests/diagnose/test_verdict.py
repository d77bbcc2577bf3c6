"""Which prompts can be judged, and what three judged videos say."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fvg_core.diagnose.branches import FVG, OWN, T2V
from fvg_core.diagnose.scene import checked_scene
from fvg_core.diagnose.verdict import Judged, judge, verdict
from fvg_core.errors import PromptError
from fvg_core.tiny.world import Scene, Thing, render

RIGHT = Judged(True, ((), ()), False)
MOTION = Judged(True, (("motion",), ()), False)
FRAME = Judged(False, (("color", "shape", "motion"), ()), False)


def test_a_prompt_is_read_with_all_its_words():
    scene = checked_scene("The red square slides to the left while a white triangle stays still.")
    assert [t.words for t in scene.things] == [
        ("red", "square", "moves left"),
        ("white", "triangle", "stays still"),
    ]


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat runs through the rain",
        "two red circles move left",
        "a red circle",
        "a red circle moves right, then moves up",
        "a red circle moves right and turns blue",
        "an orange circle moves right",
        "a red circle moves left and a red square moves right",
        "a red circle moves up, a blue circle moves up and a green circle moves up",
        "",
    ],
)
def test_a_prompt_beyond_the_checker_is_refused(prompt: str):
    with pytest.raises(PromptError, match="cannot be judged exactly"):
        checked_scene(prompt)


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


def test_videos_are_judged_by_what_they_show():
    prompt = "a red circle moves right and a blue square stays still"
    told = checked_scene(prompt)
    things = (
        Thing("red", "circle", "moves right", 14, 20, 9, 25),
        Thing("blue", "square", "stays still", 44, 46, 9, 0),
    )
    shown = Scene(things, "gray")
    video = render([shown])[0].numpy()
    assert judge(video, told) == RIGHT
    assert judge(np.repeat(video[:1], len(video), axis=0), told) == MOTION
    swapped = Scene((replace(things[0], color="blue"), replace(things[1], color="red")), "gray")
    wrong = judge(render([swapped])[0].numpy(), told)
    assert not wrong.first_frame
    assert wrong.words(told) == (
        "first frame wrong; the red circle: shape, motion; the blue square: shape, motion"
    )
