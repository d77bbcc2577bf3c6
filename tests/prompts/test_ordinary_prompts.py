"""Ordinary English: how much stays and how little leaks, on tuned and on held-out prompts."""

import pytest
from prompt_scoring import CASES, judge, score

from fvg_core.prompts import rewrite


def first_frame(prompt: str) -> str:
    return rewrite(prompt).first_frame_prompt


@pytest.mark.parametrize(
    ("half", "least", "most_leaked"),
    [
        ("tuned", {"entities": 0.99, "attributes": 0.99, "kept": 0.99}, 0.01),
        ("held_out", {"entities": 0.97, "attributes": 0.95, "kept": 0.95}, 0.09),
    ],
)
def test_scores(half, least, most_leaked):
    scores, wrong = score(half, first_frame)
    report = "\n".join([str(scores), *wrong])
    assert all(scores[name] >= share for name, share in least.items()), report
    assert scores["leaked"] <= most_leaked, report


def test_the_halves_are_large_and_share_no_prompt():
    prompts = [case["prompt"] for case in CASES]
    assert len(set(prompts)) == len(prompts)
    assert all(sum(case["half"] == half for case in CASES) >= 40 for half in ("tuned", "held_out"))


def test_the_score_sees_a_prompt_that_was_not_rewritten():
    scores, _ = score("held_out", lambda prompt: prompt)
    assert scores["leaked"] == 1.0


def test_the_score_sees_lost_counts_attributes_and_bindings():
    case = {
        "entities": [{"count": "two", "noun": "dogs", "attributes": ["brown"]}],
        "keep": ["cinematic"],
        "gone": ["run"],
    }
    verdicts = judge(case, "Dogs running, brown in colour")
    assert [share for _, share in verdicts["entities"]] == [False]
    assert [share for _, share in verdicts["attributes"]] == [False]
    assert [share for _, share in verdicts["kept"]] == [False]
    assert [share for _, share in verdicts["leaked"]] == [True]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "Two dogs run across a snowy field and jump over a fallen log",
            "Two dogs standing in a snowy field, near a fallen log, poised before the action.",
        ),
        (
            "A timelapse of a green apple rotting and turning brown on a wooden table",
            "A green apple on a wooden table.",
        ),
        ("The sky changes from pale blue to deep orange.", "The pale blue sky."),
        (
            "A man in a blue shirt throws a ball to a brown dog",
            "A man in a blue shirt with a ball, facing a brown dog, poised before the action.",
        ),
        ("The camera zooms out from a red lighthouse.", "A red lighthouse."),
        (
            "A toy car moves from left to right in front of a stack of books",
            "A toy car on the left of the frame, in front of a stack of books.",
        ),
        (
            "Two red cubes left of a blue ball; the ball rolls behind them",
            "Two red cubes left of a blue ball.",
        ),
        ("A cat sits on a chair, then a dog enters.", "A cat sitting on a chair."),
        ("A chef juliennes a carrot.", "A chef with a carrot, poised before the action."),
        ("A candle melts into a puddle of wax.", "A candle."),
        ("An empty glass slowly fills with juice.", "An empty glass."),
        ("A grey stone cracks open.", "A grey stone."),
        (
            "A tailor waits while her sister pins the veil.",
            "A tailor waiting, and her sister with the veil, poised before the action.",
        ),
        (
            "Two wrestlers bow before the match in a crowded hall.",
            "Two wrestlers in a crowded hall, poised before the action.",
        ),
        ("A crane lowers a beam.", "A crane with a beam."),
        # What comes of it.
        ("A truck skids along a track, kicking up dust.", "A truck along a track."),
        ("A box opens to show a golden ring.", "A box."),
        ("A man breaks a stick in half.", "A man with a stick, poised before the action."),
        ("A worm spins itself into a cocoon.", "A worm."),
        ("A lid lifts and lets out a moth.", "A lid."),
        ("A bush is soon covered with white snow.", "A bush."),
        ("The pond glazes over with ice.", "The pond."),
        ("A leaf goes limp and slimy.", "A leaf."),
        # Deeds that are nouns.
        ("A drum falls off a table with a crash.", "A drum high in the frame on a table."),
        ("A car gathers speed and passes a bus.", "A car near a bus."),
        ("A horse gallops off in a cloud of dust.", "A horse standing, poised before the action."),
        # A second verb of the subject, also behind a helper, and verbs of number words.
        ("The pot tips and rolls away.", "The pot."),
        (
            "A letter is blown off a desk and lands on a rug.",
            "A letter on a desk, near a rug.",
        ),
        (
            "Two cats sleep while a third climbs a tree.",
            "Two cats sleeping, and a third at the foot of a tree.",
        ),
        ("Two rams butt heads.", "Two rams with heads."),
        # States that look like motions, and motions that look like states.
        ("A man in hiking boots stands up.", "A man in hiking boots, poised before the action."),
        ("A burly lumberjack sits.", "A burly lumberjack sitting."),
        ("A waiter carries a tray.", "A waiter holding a tray, poised before the action."),
        ("A chef fries an egg in a pan.", "A chef with an egg in a pan, poised before the action."),
    ],
)
def test_examples(prompt, expected):
    assert first_frame(prompt) == expected
