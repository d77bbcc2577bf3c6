"""Scores: the tiny world's eye, a model's answers, and what is passed on."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from fvg_core.errors import AnchorError
from fvg_core.image.scoring import (
    Score,
    ask,
    read_answer,
    read_checklist,
    read_entities,
    read_scores,
    write_scores,
)
from fvg_core.image.tiny_scoring import NOTHING_ELSE, not_known, tiny_questions, tiny_scores
from fvg_core.llm import ServerConfig, open_server
from fvg_core.prompts import rewrite
from fvg_core.tiny.glance import glance
from fvg_core.tiny.world import Scene, Thing, render, sample_scene
from tests.chat_servers import completion, serving


def picture(scene: Scene) -> Image.Image:
    return Image.fromarray(render([scene], [0])[0, 0].numpy())


def scenes(count: int, objects: int) -> list[Scene]:
    rng = random.Random(17)
    return [sample_scene(rng, objects, held_out=None) for _ in range(count)]


def report_of(scene: Scene) -> str:
    return json.dumps(rewrite(scene.caption, "rules", 0).report)


@pytest.mark.parametrize("objects", [1, 2])
def test_the_tiny_worlds_eye_sees_what_was_drawn(objects):
    for scene in scenes(60, objects):
        seen = glance(np.asarray(picture(scene)))
        assert sorted(one[:2] for one in seen) == sorted((t.color, t.shape) for t in scene.things)


def test_it_sees_the_same_in_a_larger_picture():
    for scene in scenes(10, 2):
        large = picture(scene).resize((256, 256), Image.Resampling.BICUBIC)
        seen = glance(np.asarray(large))
        assert sorted(one[:2] for one in seen) == sorted((t.color, t.shape) for t in scene.things)


def test_a_right_picture_scores_one_and_another_less():
    chosen = scenes(40, 2)
    for scene, other in itertools.pairwise(chosen):
        entities = read_entities(report_of(scene))
        right, wrong = tiny_scores([picture(scene), picture(other)], entities)
        assert right.value == 1
        same = {(t.color, t.shape) for t in scene.things} == {
            (t.color, t.shape) for t in other.things
        }
        assert same or wrong.value < 1


def test_drawn_scenes_have_room_for_what_moves():
    for scene in scenes(60, 2):
        entities = read_entities(report_of(scene))
        moving = sum(thing.motion != "stays still" for thing in scene.things)
        assert [q for q in tiny_questions(entities) if "room" in q] == [
            f"Is there room for a {t.color} {t.shape} to move?"
            for t in scene.things
            if t.motion != "stays still"
        ]
        (score,) = tiny_scores([picture(scene)], entities)
        assert score.answers == (True,) * (3 + moving)


@pytest.mark.parametrize(
    ("x", "y", "free"),
    [(45, 20, False), (45, 45, True), (45, 34, False), (45, 38, True), (20, 45, True)],
)
def test_who_stands_in_the_way_takes_the_room(x, y, free):
    red = Thing("red", "circle", "moves right", 14, 20, 10, 20)
    scene = Scene((red, Thing("blue", "square", "stays still", x, y, 10, 20)), "gray")
    (score,) = tiny_scores([picture(scene)], read_entities(report_of(scene)))
    assert score.answers == (True, True, True, free)


def test_two_that_cross_have_no_room_and_the_border_takes_it():
    up = Thing("red", "circle", "moves up", 32, 52, 9, 20)
    left = Thing("blue", "square", "moves left", 50, 34, 9, 20)
    scene = Scene((up, left), "gray")
    (score,) = tiny_scores([picture(scene)], read_entities(report_of(scene)))
    assert score.answers[3:] == (False, False)
    alone = Scene((Thing("red", "circle", "moves up", 32, 20, 9, 20),), "gray")
    (score,) = tiny_scores([picture(alone)], read_entities(report_of(alone)))
    assert score.answers == (True, True, False)
    free = Thing("blue", "square", "moves right", 14, 52, 9, 20)
    both = Scene((*alone.things, free), "gray")
    (score,) = tiny_scores([picture(both)], read_entities(report_of(both)))
    assert score.answers[3:] == (False, True)


@pytest.mark.parametrize(
    ("said", "movers"),
    [
        ("a red circle on the left stays still and a blue square stays still", []),
        ("a red circle on the left stays still and a blue square moves right", ["blue square"]),
        ("a red circle on the right moves right", ["red circle"]),
        (
            "a red circle moves right and a red square moves left",
            ["red circle", "red square"],
        ),
        ("a red circle moves right and a red circle moves left", ["red circle"]),
    ],
)
def test_room_is_asked_for_what_moves_and_not_for_a_place(said, movers):
    entities = read_entities(json.dumps(rewrite(said, "rules", 0).report))
    questions = tiny_questions(entities)
    rooms = [question for question in questions if "room" in question]
    assert rooms == [f"Is there room for a {kind} to move?" for kind in movers]
    (score,) = tiny_scores([picture(scenes(1, 2)[0])], entities)
    assert len(score.answers) == len(questions)


def test_one_that_starts_at_its_goal_has_no_room():
    said = "a red circle on the right moves right"
    entities = read_entities(json.dumps(rewrite(said, "rules", 0).report))
    there = Scene((Thing("red", "circle", "moves right", 52, 32, 9, 20),), "gray")
    (score,) = tiny_scores([picture(there)], entities)
    assert score.answers == (True, True, False)


def test_a_thing_too_many_is_seen():
    one, two = scenes(1, 1)[0], scenes(1, 2)[0]
    entities = [
        {"noun": t.shape, "attributes": [t.color], "count": 1, "text": ""} for t in two.things
    ]
    assert tiny_questions(entities)[-1] == NOTHING_ELSE
    (score,) = tiny_scores([picture(two)], entities[:1])
    assert score.answers == (True, False)
    (score,) = tiny_scores([picture(one)], entities)
    assert score.value < 1


@pytest.mark.parametrize(
    "entity",
    [
        {"noun": "dog", "attributes": ["red"], "count": 1, "text": "a red dog"},
        {"noun": "circle", "attributes": [], "count": 1, "text": "a circle"},
        {"noun": "circle", "attributes": ["red", "blue"], "count": 1, "text": "a red blue circle"},
        {"noun": "circle", "attributes": 3, "count": "x", "text": ["?"]},
    ],
)
def test_the_tiny_world_says_what_it_does_not_know(entity):
    known = read_entities(report_of(scenes(1, 2)[0]))
    assert not_known(known) is None
    assert f"the tiny world does not know {str(entity['text'])!r}" in not_known([*known, entity])


def test_a_prompt_that_names_nothing_has_no_scores():
    entities = read_entities('{"entities": []}')
    assert "the tiny world finds nothing to look for" in not_known(entities)


@pytest.mark.parametrize("report", ["", "{", "[]", '{"checklist": 1, "entities": 2}', "[" * 9000])
def test_a_report_without_questions_is_refused(report):
    with pytest.raises(AnchorError, match="connect the output report"):
        read_checklist(report)
    with pytest.raises(AnchorError, match="connect the output report"):
        read_entities(report)


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
    seen = glance(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    colors = {one.color for one in seen}
    return web.json_response(completion("Yes." if text.split()[2][:-1] in colors else "No."))


def test_a_model_that_sees_answers_each_question_for_each_picture():
    one, two = scenes(1, 1)[0], scenes(1, 2)[0]
    colors = [t.color for t in two.things]
    questions = [f"Is there {color}?" for color in colors]
    with serving(seeing) as url, open_server(ServerConfig(url=url, model="eye", sees=True)) as eye:
        scores = list(ask(eye, [picture(two), picture(one)], questions))
    assert scores[0].answers == (True, True)
    assert scores[1].answers == tuple(c == one.things[0].color for c in colors)


def test_a_model_that_does_not_see_is_refused():
    config = ServerConfig(url="http://127.0.0.1:1/v1", model="blind")
    with open_server(config) as model, pytest.raises(AnchorError, match="does not see pictures"):
        list(ask(model, [picture(scenes(1, 1)[0])], ["Is there red?"]))
