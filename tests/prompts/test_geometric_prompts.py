"""Prompts of the tiny world: every wording is read, and has one first frame that image models of
that world know how to draw."""

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.categories import CATEGORIES
from fvg_core.prompts import rewrite
from fvg_core.prompts.tiny_world import read_prompt
from fvg_core.tiny import captions
from fvg_core.tiny.scenes import sample_scene
from fvg_core.tiny.words import COLORS, Prompt, sample_prompt

SEEDS = st.integers(0, 2**32)
GROUND = re.compile(r"(on a [a-z ]+ (?:background|ground))")


def worded(seed: int, category: str) -> tuple[Prompt, str]:
    """A prompt, and a sentence that asks for it."""
    rng = random.Random(seed)
    prompt = sample_prompt(rng, category, held_out=None)
    return prompt, captions.text(captions.prompt_spans(prompt, rng))


PROMPTS = st.builds(worded, SEEDS, st.sampled_from(CATEGORIES))


@given(PROMPTS)
def test_every_wording_gives_back_its_prompt(asked):
    prompt, text = asked
    read = read_prompt(text).prompt
    if not GROUND.search(text):
        assert (read.ground, read.texture) == ("", "")
        prompt = replace(prompt, ground="", texture="")
    if not prompt.relation:  # a sentence names them in any order; who changes colour comes first
        order = lambda actors: tuple(sorted(actors, key=lambda a: (a.does != "turns", a.color)))
        prompt = replace(prompt, actors=order(prompt.actors))
        read = replace(read, actors=order(read.actors))
    if {a.does for a in prompt.actors} in ({"grows", "rests"}, {"shrinks", "rests"}):
        read = replace(read, category=prompt.category)  # both categories ask for such
    assert read == prompt


@given(PROMPTS)
def test_the_plainest_wording_is_read_too(asked):
    prompt, _ = asked
    read = read_prompt(captions.text(captions.prompt_spans(prompt))).prompt
    assert replace(read, category=prompt.category) == prompt


@settings(deadline=None)
@given(PROMPTS)
def test_a_first_frame_shows_the_first_colours_and_nothing_of_what_happens(asked):
    prompt, text = asked
    reading = read_prompt(text)
    frame = rewrite(text).first_frame_prompt
    bare = GROUND.sub("", frame)
    assert sorted(re.findall("|".join(COLORS), bare)) == sorted(a.color for a in prompt.actors)
    assert not any(event in frame for event in reading.events)
    assert all(re.search(rf"\b{noun}\b", frame) for noun in reading.nouns)
    ground = GROUND.search(text)
    assert frame.endswith(ground[0] if ground else bare.strip())


@settings(deadline=None)
@given(PROMPTS, st.integers(0, 99))
def test_the_checks_pass_and_the_report_names_who_is_there(asked, seed):
    prompt, text = asked
    report = rewrite(text, seed=seed).report
    assert [c for c in report["checks"] if not c["passed"]] == []
    found = {(*e["attributes"], e["count"]) for e in report["entities"]}
    assert found == {(a.color, a.count) for a in prompt.actors}
    assert report["prompt"] == text


def pattern(text: str) -> str:
    """A caption without what any other object could have as well: kinds and the ground."""
    nouns = sorted({n for each in captions.NOUNS.values() for n in each}, key=len, reverse=True)
    plurals = [captions.PLURALS.get(n, f"{n}s") for n in nouns]
    text = re.sub(rf"\b({'|'.join(COLORS)}) ({'|'.join([*plurals, *nouns])})\b", "X", text)
    return re.sub(r"\b(two|three|four|five)\b", "N", GROUND.sub("", text)).strip(" ,")


def form(pattern: str) -> str:
    """A pattern without where each object stands."""
    places = {place for said in captions.POSITIONS.values() for place in said}
    return re.sub("|".join(sorted(places, key=len, reverse=True)), "P", pattern)


def objects(pattern: str) -> set[str]:
    return set(re.split(", | and ", pattern))


def test_first_frames_are_worded_as_the_image_models_captions_are():
    """Nothing is asked of the image model in a form of words that it never was trained on, and of
    no object anything that it never was told of one."""
    rng = random.Random(5)
    trained = set()
    for i in range(2000):
        scene = sample_scene(rng, CATEGORIES[i % 7], held_out=None)
        for _ in range(24):
            u = rng.randrange(17) / 16
            trained.add(pattern(captions.text(captions.moment_spans(scene, u, rng))))
    forms, told = set(map(form, trained)), set().union(*map(objects, trained))
    for i in range(300):
        _, text = worded(i, CATEGORIES[i % 7])
        asked = pattern(read_prompt(text).first_frame)
        assert form(asked) in forms, text
        assert objects(asked) <= told, text


@pytest.mark.parametrize(
    ("prompt", "first_frame"),
    [
        (
            "a red ball moves right and a blue square stays still on a gray background",
            "a red ball on the left and a blue square at the top on a gray background",
        ),
        (
            "a red ball sways, a blue ring rests",
            "a red ball at the top and a blue ring at the bottom",
        ),
        (
            "a red ball slides right, then rises while a blue ring rests",
            "a red ball at the bottom and a blue ring on the left",
        ),
        ("A red circle moves right.", "a red circle on the left"),
        ("the red ball rests on the plain grey ground", "a red ball on a gray ground"),
        ("The green triangle rises, then slides left", "a green triangle on the right"),
        (
            "On a striped grey background, a red ball moves left while a white ring moves right",
            "a red ball at the top and a white ring at the bottom on a striped gray background",
        ),
        (
            "a blue cross changes from blue to green and a red hoop rests",
            "a blue cross on the left and a red hoop on the right",
        ),
        (
            "a red ring rests and a blue box turns white",
            "a blue box on the left and a red ring on the right",
        ),
        ("a red ball expands", "a small red ball"),
        (
            "a white plus sign contracts, a red ball hops up and down",
            "a large white plus sign on the right and a red ball at the bottom",
        ),
        (
            "a red ball drifts slowly, a blue ring drifts slowly and a white cross floats about",
            "a red ball on the left, a blue ring on the right and a white cross at the top",
        ),
        ("two red boxes and a blue ball", "two red boxes and a blue ball"),
        ("a red ball stays left of a blue ring", "a red ball to the left of a blue ring"),
        ("a red ball hovers above a blue ring", "a red ball above a blue ring"),
        (
            "a red ball bumps into a blue ring and knocks it away",
            "a red ball to the left of a blue ring",
        ),
        (
            "a red ball and a blue ring meet and stay together on a black ground",
            "a red ball to the left of a blue ring on a black ground",
        ),
    ],
)
def test_wordings(prompt, first_frame):
    assert rewrite(prompt).first_frame_prompt == first_frame


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a cat moves right",
        "an orange ball moves right",
        "a red ball moves right on a wooden table",
        "a red ball on the left moves right",
        "two red balls move right",
        "two red ball and a blue ring",
        "a red balls",
        "four red balls and two blue rings",
        "a red ball moves right and a red ring moves left",
        "a red ball turns red",
        "a red ball turns blue and a blue ring rests",
        "a red ball turns blue and a green ring moves left",
        "a red ball spins",
        "a red ball moves right and a blue ring",
        "a red ball moves right a blue ring moves left",
        "a red ball pushes a blue ring and a green cross rests",
        "three red balls push a blue ring",
        "a red ball, then a blue ring",
        "on a gray background, a red ball rests on a gray background",
    ],
)
def test_what_is_beyond_the_tiny_world_is_not_read(prompt):
    assert read_prompt(prompt) is None


def test_what_was_taken_out_and_put_in_is_told():
    report = rewrite("a red ball grows and a blue ring moves left").report
    assert (report["removed"], report["added"]) == (
        ["grows", "moves left"],
        ["small", "at the top", "on the right"],
    )
