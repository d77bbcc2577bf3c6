"""Geometric scenes: the first-frame prompt is exact over the whole grammar."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.prompts import rewrite

COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
SHAPES = ("circle", "square", "triangle")
GROUNDS = ("black", "gray", "teal", "brown")
JOINS = (" and ", " while ", ", ", ", and ", ", while ")
WORDINGS = {  # start position of the first frame -> wordings of the motion
    "on the right": ("moves left", "drifts to the left", "is moving left", "slowly goes left"),
    "on the left": ("moves right", "slides to the right", "is drifting to the right"),
    "at the bottom": ("moves up", "moves upwards", "floats slowly up", "is moving up", "rises"),
    "at the top": ("moves down", "slides down", "goes downwards", "is moving down", "sinks"),
    None: ("stays still", "does not move", "remains still", "is not moving", "stands still", ""),
}
STATED = ("on the left", "on the right", "at the top", "at the bottom", "in the center")


@st.composite
def objects(draw) -> tuple[str, str]:
    """One object: its words in the video prompt and in the first-frame prompt."""
    name = f"a {draw(st.sampled_from(COLOURS))} {draw(st.sampled_from(SHAPES))}"
    start = draw(st.sampled_from(list(WORDINGS)))
    motion = draw(st.sampled_from(WORDINGS[start]))
    stated = draw(st.none() | st.sampled_from(STATED))
    position = stated or start
    said = " ".join(filter(None, (name, stated, motion)))
    return said, " ".join(filter(None, (name, position)))


@st.composite
def scenes(draw) -> tuple[str, str]:
    """A caption and its one right first-frame prompt."""
    things = draw(st.lists(objects(), min_size=1, max_size=3))
    ground = draw(st.sampled_from(["", *(f" on a {g} background" for g in GROUNDS)]))
    said = things[0][0]
    for thing, _ in things[1:]:
        said += draw(st.sampled_from(JOINS)) + thing
    shown = [frame for _, frame in things]
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    return said + ground + draw(st.sampled_from(["", "."])), listed + ground


@given(scenes())
def test_every_caption_has_exactly_one_first_frame(scene):
    caption, first_frame = scene
    assert rewrite(caption).first_frame_prompt == first_frame


@given(scenes())
def test_the_report_names_objects_and_places(scene):
    caption, first_frame = scene
    found = [(e["text"], e["position"]) for e in rewrite(caption).report["entities"]]
    expected = re.split(r" and |, ", re.sub(r" on a \w+ background", "", first_frame))
    assert [" ".join(filter(None, e)) for e in found] == expected


@given(scenes(), st.integers(0, 99))
def test_a_first_frame_prompt_is_its_own_first_frame(scene, seed):
    once = rewrite(scene[0], seed=seed).first_frame_prompt
    assert rewrite(once).first_frame_prompt == once


@given(scenes())
def test_all_checks_pass(scene):
    failed = [c for c in rewrite(scene[0]).report["checks"] if not c["passed"]]
    assert not failed


@pytest.mark.parametrize(
    ("caption", "first_frame"),
    [
        (
            "a red circle moves right and a blue square stays still on a gray background",
            "a red circle on the left and a blue square on a gray background",
        ),
        (
            "a green triangle moves up on a black background",
            "a green triangle at the bottom on a black background",
        ),
        ("A red circle moves right, then up.", "a red circle on the left"),
        ("a red circle turns blue and moves down", "a red circle at the top"),
        (
            "On a grey background, a red circle moves left",
            "a red circle on the right on a gray background",
        ),
        ("a green triangle becomes a red square", "a green triangle"),
        ("two red circles move to the left", "two red circles on the right"),
        ("a red circle moves across the screen from left to right", "a red circle on the left"),
    ],
)
def test_wordings(caption, first_frame):
    assert rewrite(caption).first_frame_prompt == first_frame
