"""The contract of `rewrite`: errors, determinism, report, and no crash on any text."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prompt_scoring import CASES, words

from fvg_core.errors import PromptError
from fvg_core.prompts import MAX_WORDS, Rewrite, rewrite
from fvg_core.prompts.scene import POISES

PROMPTS = [case["prompt"] for case in CASES]
WORDS = sorted({word for prompt in PROMPTS for word in [*words(prompt), ",", ".", "and"]})


def without_time(result: Rewrite) -> Rewrite:
    return Rewrite(
        result.first_frame_prompt, result.video_prompt, {**result.report, "seconds": None}
    )


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", None, 7, ["a cat"], b"a cat"])
def test_what_is_no_prompt_is_refused(prompt):
    with pytest.raises(PromptError, match=r"empty|not text"):
        rewrite(prompt)


def test_a_long_prompt_is_refused_with_its_length_and_the_limit():
    with pytest.raises(PromptError, match=f"10000 words; at most {MAX_WORDS}"):
        rewrite("cat " * 10_000)


def test_the_longest_allowed_prompt_is_rewritten():
    prompt = " ".join(("A cat jumps over a log. " * MAX_WORDS).split()[:MAX_WORDS])
    assert rewrite(prompt).first_frame_prompt.startswith("A cat standing near a log")


@pytest.mark.parametrize("words", ["cat of", "a red circle moves", "then a", "the", "very", "to"])
def test_long_repetitions_are_rewritten_or_refused_in_good_time(words):
    prompt = " ".join((f"{words} " * MAX_WORDS).split()[:MAX_WORDS])
    start = time.perf_counter()
    is_sound(prompt)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("prompt", ["running fast", "then", "the a of", "... !", "it moves"])
def test_a_prompt_that_names_nothing_says_so(prompt):
    with pytest.raises(PromptError, match="names nothing"):
        rewrite(prompt)


def test_what_is_only_revealed_is_better_than_nothing():
    assert rewrite("The camera pans to reveal a waterfall").first_frame_prompt == "A waterfall."


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_the_same_prompt_and_seed_give_the_same_rewrite(seed):
    first = [without_time(rewrite(p, seed)) for p in PROMPTS]
    assert first == [without_time(rewrite(p, seed)) for p in PROMPTS]


def test_the_seed_chooses_among_phrasings_and_zero_is_canonical():
    frames = {seed: rewrite("A dog runs.", seed=seed).first_frame_prompt for seed in range(20)}
    assert frames[0] == f"A dog standing, {POISES[0]}."
    assert set(frames.values()) == {f"A dog standing, {poise}." for poise in POISES}


def test_the_video_prompt_is_the_original():
    prompt = "  A dog runs, then it sleeps.\n"
    assert rewrite(prompt).video_prompt == prompt


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_report_is_json_and_complete(prompt):
    report = json.loads(json.dumps(rewrite(prompt, seed=3).report))
    assert {"prompt": prompt, "backend": "rules", "seed": 3}.items() <= report.items()
    assert {"entities", "removed", "added", "checks", "seconds"} <= report.keys()
    for entity in report["entities"]:
        assert entity.keys() == {"text", "noun", "count", "attributes", "position"}
    for verdict in report["checks"]:
        assert verdict.keys() == {"name", "passed", "detail"}


def test_the_report_tells_entities_with_count_and_attributes():
    report = rewrite("Two red cubes move left past a wooden chair.").report
    cubes, chair = report["entities"]
    assert (cubes["noun"], cubes["count"], cubes["attributes"]) == ("cubes", 2, ("red",))
    assert cubes["position"] == "on the right of the frame"
    assert (chair["noun"], chair["count"], chair["attributes"]) == ("chair", 1, ("wooden",))
    assert report["removed"] == ["move", "left"]
    assert report["added"] == ["on the right of the frame"]


def is_sound(prompt: str) -> None:
    """A rewrite or a PromptError: never anything else, never an empty or broken paragraph."""
    try:
        result = rewrite(prompt)
    except PromptError:
        return
    assert result.first_frame_prompt.strip()
    assert "\n" not in result.first_frame_prompt
    json.dumps(result.report)


@given(st.text())
@example("9" * 5000)
@example("½ of ² — “…” 's")
@example("to of and then until the")
def test_any_text_is_rewritten_or_refused(prompt):
    is_sound(prompt)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40))
def test_any_word_order_is_rewritten_or_refused(salad):
    is_sound(" ".join(salad))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_rewriting_a_first_frame_keeps_its_entities(prompt):
    once = rewrite(prompt)
    twice = rewrite(once.first_frame_prompt)
    nouns = [entity["noun"] for entity in once.report["entities"]]
    assert set(nouns) <= set(words(twice.first_frame_prompt))
