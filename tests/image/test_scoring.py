"""Scores: the tiny world's eye, a model's answers, and what is passed on."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
from collections import defaultdict

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from fvg_core.categories import CATEGORIES
from fvg_core.errors import AnchorError, LanguageModelError
from fvg_core.image.scoring import (
    Score,
    ask,
    read_answer,
    read_checklist,
    read_scores,
    write_scores,
)
from fvg_core.image.tiny_scoring import (
    ACTING,
    NOTHING_ELSE,
    STAGE,
    TRAVEL,
    questions,
    tiny_scores,
    wanted,
)
from fvg_core.llm import ServerConfig, open_server
from fvg_core.prompts import rewrite
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.render import render
from fvg_core.tiny.scenes import Body, Scene, sample_scene
from fvg_core.tiny.seeing import look
from fvg_core.tiny.words import COLORS, Actor, Prompt
from tests.chat_servers import completion, in_turn, says, serving


def picture(scene: Scene) -> Image.Image:
    return Image.fromarray(render([scene], [0])[0, 0].numpy())


def report(prompt: str) -> str:
    return json.dumps(rewrite(prompt).report)


def scenes(count: int, category: str) -> list[Scene]:
    rng = random.Random(17)
    return [sample_scene(rng, category, held_out=None) for _ in range(count)]


def drawn(*objects: tuple[str, str, float, float], radius: float = 0.12) -> Image.Image:
    """A picture of objects: colour, shape, and centre in shares of the side."""
    actors = tuple(Actor(color, shape) for color, shape, _, _ in objects)
    bodies = tuple(Body(i, radius, ((0.0, x, y),)) for i, (_, _, x, y) in enumerate(objects))
    return picture(Scene(Prompt("", actors, "gray", "plain"), bodies, 0.0))


def answers(prompt: str, shown: Image.Image) -> dict[str, bool]:
    asked, _ = wanted(report(prompt))
    (score,) = tiny_scores([shown], asked)
    return dict(zip(questions(asked), score.answers, strict=True))


def room(prompt: str, shown: Image.Image) -> list[bool]:
    return [yes for question, yes in answers(prompt, shown).items() if "room" in question]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_right_picture_scores_one_and_another_less(category):
    """Which shows that drawn scenes have room for what happens in them, too."""
    chosen = scenes(12, category)
    for scene, other in itertools.pairwise(chosen):
        asked, note = wanted(report(text(prompt_spans(scene.prompt))))
        assert not note
        right, wrong = tiny_scores([picture(scene), picture(other)], asked)
        assert right.value == 1
        kinds = [{(a.kind, a.count) for a in s.prompt.actors} for s in (scene, other)]
        assert kinds[0] == kinds[1] or wrong.value < 1


def test_it_sees_the_same_in_a_larger_picture():
    for scene in scenes(6, "motion_binding"):
        large = picture(scene).resize((256, 256), Image.Resampling.BICUBIC)
        assert all(answers(text(prompt_spans(scene.prompt)), large).values())


def test_what_is_asked_of_a_picture():
    asked = lambda prompt: list(questions(wanted(report(prompt))[0]))
    assert asked("two red crosses and a blue box") == [
        "Are there 2 red crosses?",
        "Is there a blue square?",
        NOTHING_ELSE,
    ]
    assert asked("a red ball is above a blue ring")[2:] == [
        NOTHING_ELSE,
        "Is the red ball above the blue ring?",
    ]
    assert asked("a red ball shoves a blue ring")[3:] == [
        "Is there room for a red ball and a blue ring to meet?"
    ]
    assert asked("a red ball grows and a blue ring moves up, then moves left")[3:] == [
        "Is there room for a red ball to grow?",
        "Is there room for a blue ring to move?",
    ]


@pytest.mark.parametrize(
    ("x", "y", "free"),
    [(0.7, 0.3, False), (0.7, 0.75, True), (0.6, 0.45, False), (0.7, 0.58, True), (0.3, 0.7, True)],
)
def test_who_stands_in_the_way_takes_the_room(x, y, free):
    shown = drawn(("red", "ball", 0.2, 0.3), ("blue", "square", x, y))
    assert room("a red ball moves right and a blue square stays still", shown) == [free]


@pytest.mark.parametrize(
    ("does", "x", "y", "free"),
    [
        ("moves right", 0.8, 0.5, False),
        ("moves right", 0.5, 0.5, True),
        ("moves up", 0.5, 0.3, False),
        ("moves right, then moves up", 0.3, 0.7, True),
        ("moves right, then moves up", 0.3, 0.2, False),
        ("moves right, then moves up", 0.8, 0.8, False),
        ("bounces", 0.5, 0.8, True),
        ("bounces", 0.5, 0.2, False),
        ("sways", 0.5, 0.2, True),
        ("sways", 0.15, 0.5, False),
        ("grows", 0.5, 0.5, True),
        ("grows", 0.14, 0.5, False),
    ],
)
def test_the_border_takes_the_room(does, x, y, free):
    assert room(f"a red ball {does}", drawn(("red", "ball", x, y))) == [free]


def test_no_drawn_object_does_less_than_room_is_asked_for():
    rng = random.Random(3)
    found = defaultdict(list)
    for category in ("action_binding", "motion_binding"):
        for scene in (sample_scene(rng, category, held_out=None) for _ in range(300)):
            for body in scene.bodies:
                does = scene.actor(body).does
                if does in ACTING:
                    (measure,) = ACTING[does]
                    found[does].append(getattr(body, measure))
                elif len(body.path) > 1:
                    stages = abs(np.diff(body.path, axis=0)[:, 1:]).max(1)
                    found[len(body.path)].append(stages.min())
    asked = {does: least for does, each in ACTING.items() for least in each.values()}
    for does, least in {**asked, 2: TRAVEL, 3: STAGE}.items():
        assert least <= min(found[does]) < 1.05 * least, does


def test_what_is_too_large_for_an_object_takes_the_room():
    pixels = np.array(drawn(("blue", "square", 0.7, 0.8)))
    pixels[:36] = COLORS["red"]
    said = answers("a red ball rests and a blue square moves up", Image.fromarray(pixels))
    assert list(said.values()) == [False, True, True, False]


def test_room_is_seen_in_a_picture_that_is_not_square():
    wide = np.array(drawn(("red", "ball", 0.5, 0.5)))
    wide = np.concatenate([wide, np.tile(wide[:, -1:], (1, 64, 1))], axis=1)
    assert room("a red ball moves right", Image.fromarray(wide)) == [True]
    assert room("a red ball moves left", Image.fromarray(wide[:, 4:])) == [True]
    assert room("a red ball moves left", Image.fromarray(wide[:, 8:])) == [False]


def test_two_that_cross_have_no_room():
    shown = drawn(("red", "ball", 0.5, 0.75), ("blue", "square", 0.7, 0.5))
    assert room("a red ball moves up and a blue square moves left", shown) == [False, False]
    assert room("a red ball moves up and a blue square moves right", shown) == [True, False]


def test_room_is_measured_by_how_far_an_object_reaches_when_it_turns():
    beside = lambda shape: drawn(("red", "ball", 0.2, 0.3), ("blue", shape, 0.45, 0.55))
    prompt = "a red ball moves right and a blue {} stays still"
    assert room(prompt.format("ball"), beside("ball")) == [True]
    assert room(prompt.format("triangle"), beside("triangle")) == [False]


@pytest.mark.parametrize(
    ("first", "second", "meets", "pushes"),
    [
        ((0.15, 0.5), (0.6, 0.5), True, True),
        ((0.2, 0.5), (0.8, 0.5), True, False),  # nothing is left behind the second
        ((0.4, 0.5), (0.65, 0.5), False, False),  # next to each other
        ((0.15, 0.2), (0.6, 0.5), False, False),  # they would miss
        ((0.5, 0.85), (0.5, 0.4), True, True),
    ],
)
def test_two_that_meet_stand_apart_with_a_way_between_them(first, second, meets, pushes):
    shown = drawn(("red", "ball", *first), ("blue", "square", *second))
    assert room("a red ball meets a blue square", shown) == [meets]
    assert room("a red ball pushes a blue square", shown) == [pushes]
    assert room("a red ball hits a blue square and stops", shown) == [pushes]


def test_a_wrong_side_is_seen():
    shown = drawn(("red", "ball", 0.2, 0.5), ("blue", "square", 0.7, 0.5))
    right = answers("a red ball is to the left of a blue square", shown)
    assert all(right.values())
    wrong = answers("a red ball is to the right of a blue square", shown)
    assert [q for q, yes in wrong.items() if not yes] == [
        "Is the red ball to the right of the blue square?"
    ]


def test_a_thing_too_many_or_missing_is_seen():
    one = drawn(("red", "ball", 0.2, 0.5))
    two = drawn(("red", "ball", 0.2, 0.5), ("blue", "square", 0.7, 0.5))
    assert list(answers("a red ball moves right", two).values()) == [True, False, False]
    said = answers("a red ball stays still and a blue square moves right", one)
    assert list(said.values()) == [True, False, False, False]


def test_in_other_words_it_is_asked_who_is_there():
    said = "Two red balls roll past a blue box on the right."
    assert list(questions(wanted(report(said))[0])) == [
        "Are there 2 red balls?",
        "Is there a blue square?",
        NOTHING_ELSE,
    ]
    several = [
        {"noun": "ball", "attributes": ["red"], "count": 1},
        {"noun": "discs", "attributes": ["red"], "count": 30},
    ]
    asked, _ = wanted(json.dumps({"entities": several}))
    assert list(questions(asked)) == ["Are there 31 red balls?", NOTHING_ELSE]


@pytest.mark.parametrize(
    "entity",
    [
        {"noun": "dog", "attributes": ["red"], "count": 1, "text": "a red dog"},
        {"noun": "ball", "attributes": [], "count": 1, "text": "a ball"},
        {"noun": "ball", "attributes": ["red", "blue"], "count": 1, "text": "a red blue ball"},
        {"noun": "ball", "attributes": 3, "count": "x", "text": ["?"]},
    ],
)
def test_the_tiny_world_says_what_it_does_not_know(entity):
    known = {"noun": "ring", "attributes": ["red"], "count": 1, "text": "a red ring"}
    assert wanted(json.dumps({"entities": [known]}))[1] == ""
    asked, note = wanted(json.dumps({"entities": [known, entity]}))
    assert asked is None
    assert f"the tiny world does not know {str(entity['text'])!r}" in note


def test_a_prompt_that_names_nothing_has_no_scores():
    asked, note = wanted('{"entities": []}')
    assert asked is None
    assert "the tiny world finds nothing to look for" in note


@pytest.mark.parametrize("report", ["", "{", "[]", '{"checklist": 1, "entities": 2}', "[" * 9000])
def test_a_report_without_questions_is_refused(report):
    with pytest.raises(AnchorError, match="connect the output report"):
        read_checklist(report)
    with pytest.raises(AnchorError, match="connect the output report"):
        wanted(report)


def test_scores_are_read_as_they_were_written():
    scores = [Score((True, False, None)), Score((True, True, True)), Score(())]
    questions, read = read_scores(write_scores("eye", ["a?", "b?", "c?"], scores))
    assert questions == ["a?", "b?", "c?"]
    assert [c["score"] for c in read] == [0.3333, 1.0, 0.0]
    assert read[0]["answers"] == [True, False, None]
    assert read_scores(write_scores("eye", [], [], "nobody looked")) == ([], [])


@pytest.mark.parametrize(
    "text", ["", "3", '{"candidates": []}', '{"checklist": [], "candidates": [{"score": 2}]}',
             '{"checklist": [], "candidates": [{"score": 2, "answers": []}]}', "[" * 9000]
)  # fmt: skip
def test_other_scores_are_refused(text):
    with pytest.raises(AnchorError, match="scores cannot be read"):
        read_scores(text)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes", True), ("no.", False), ("**Yes**, it is", True), ("NO", False),
        ("nothing there", None), ("I cannot see", None), ("", None), ("Yesterday", None),
    ],
)  # fmt: skip
def test_replies_are_read_as_yes_or_no(reply, answer):
    assert read_answer(reply) is answer


async def seeing(request: web.Request) -> web.Response:
    """A chat server that looks at the picture it is sent: "Is there red?" """
    parts = (await request.json())["messages"][-1]["content"]
    (url,) = (part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    (text,) = (part["text"] for part in parts if part["type"] == "text")
    data = base64.b64decode(url.partition(",")[2])
    (seen,) = look(np.array(Image.open(io.BytesIO(data)).convert("RGB"))[None])
    return web.json_response(completion("Yes." if text.split()[2][:-1] in seen else "No."))


def test_a_model_that_sees_answers_each_question_for_each_picture():
    one, two = (
        drawn(("red", "ball", 0.2, 0.5)),
        drawn(("red", "ball", 0.2, 0.5), ("blue", "ring", 0.7, 0.5)),
    )
    asked = ["Is there red?", "Is there blue?"]
    with serving(seeing) as url, open_server(ServerConfig(url=url, model="eye", sees=True)) as eye:
        scores = list(ask(eye, [two, one], asked))
    assert [score.answers for score in scores] == [(True, True), (True, False)]


def test_an_empty_answer_counts_as_no_but_someone_must_speak():
    shown = [drawn(("red", "ball", 0.2, 0.5))] * 2
    asked = ["Is there red?", "Is there blue?"]

    def said(*replies: str, spoke: bool = False) -> list[tuple]:
        with (
            serving(in_turn(*map(says, replies))) as url,
            open_server(ServerConfig(url=url, model="eye", sees=True)) as eye,
        ):
            return [score.answers for score in ask(eye, shown, asked, spoke=spoke)]

    assert said("", "Yes", "", "") == [(None, True), (None, None)]
    assert said("", "", "", "No", spoke=True) == [(None, None), (None, False)]
    with pytest.raises(LanguageModelError, match="thinking"):
        said("", "<think>", "Yes", "Yes")


def test_a_model_that_does_not_see_is_refused():
    config = ServerConfig(url="http://127.0.0.1:1/v1", model="blind")
    with open_server(config) as model, pytest.raises(AnchorError, match="does not see pictures"):
        list(ask(model, [drawn(("red", "ball", 0.5, 0.5))], ["Is there red?"]))
