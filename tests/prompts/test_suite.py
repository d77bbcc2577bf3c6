"""The suite of 140 prompts: its shape, its scorer, and what the rules reach on it."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_scoring import CASES as EARLIER
from replaying import GOOD_TEXT, PROMPT, Replays, as_json

from fvg_core.categories import CATEGORIES
from fvg_core.errors import LanguageModelError, PromptError
from fvg_core.prompts import Rewriting
from fvg_core.prompts.command import run
from fvg_core.prompts.scoring import score, summary, table
from fvg_core.prompts.suite import Case, judge, read_suite, shares

ROOT = Path(__file__).resolve().parents[2]
SUITE = read_suite()
# Written after the rules had been improved on both halves of the suite; at first sight the rules
# leaked .079 of the first 40 and .116 of the last 30.
LATER = read_suite(Path(__file__).with_name("later_prompts.jsonl"))
# In richer English, each part written before the rules were tried on it: 60, and four times 40. At
# first sight the rules leaked .283, .213, .203, .123 and .157 of them; as they were before all that
# .283, .227, .257, .123 and .243. They were improved after each part.
FRESH = read_suite(Path(__file__).with_name("fresh_prompts.jsonl"))
# What the rules were improved on after that: .206, .271, .163, .085, .152, .072 at first sight.
TUNED = read_suite(Path(__file__).with_name("tuned_prompts.jsonl"))
# By somebody who did not know the rules: .122 at first sight. The rules were improved on one half
# of them since, and the tagger learnt from all.
OUTSIDE = read_suite(Path(__file__).with_name("outside_prompts.jsonl"))
# By somebody else again: .064 at first sight, and .108 for the rules without dictionary and tagger.
OUTSIDE_2 = read_suite(Path(__file__).with_name("outside_prompts_2.jsonl"))
# By a third who did not know the rules; nothing was improved on them.
UNSEEN = read_suite(Path(__file__).with_name("unseen_prompts.jsonl"))
# By a fourth; nothing was improved on them either.
UNSEEN_2 = read_suite(Path(__file__).with_name("unseen_prompts_2.jsonl"))
CASE = Case(
    "Two brown dogs run past a cat on a log.",
    "motion_binding",
    "tuned",
    [
        {"noun": "dogs", "count": 2, "attributes": ["brown"]},
        {"noun": "cat", "count": 1, "attributes": []},
        {"noun": "log", "count": 1, "attributes": []},
    ],
    [["cat", "on", "log"]],
    [],
    ["run", "past"],
)


def lost(text: str) -> set[str]:
    """The measures that are not perfect for CASE."""
    found = shares([judge(CASE, text)])
    return {m for m, v in found.items() if v is not None and v != (0.0 if m == "leaked" else 1.0)}


def test_it_has_twenty_of_each_category_half_of_them_held_out():
    assert Counter(c.category for c in SUITE) == dict.fromkeys(CATEGORIES, 20)
    assert Counter((c.category, c.half) for c in SUITE) == {
        (category, half): 10 for category in CATEGORIES for half in ("tuned", "held_out")
    }
    prompts = [c.prompt for c in [*SUITE, *LATER, *FRESH, *TUNED, *OUTSIDE, *OUTSIDE_2]] + [
        c["prompt"] for c in EARLIER
    ]
    assert len(set(prompts)) == len(prompts)


def test_expectations_are_words_of_the_prompt():
    for case in [*SUITE, *LATER, *FRESH, *TUNED, *OUTSIDE, *OUTSIDE_2]:
        said = case.prompt.lower()
        for entity in case.entities:
            assert all(word in said for word in (entity["noun"], *entity["attributes"])), case


@pytest.mark.parametrize(
    ("text", "measures"),
    [
        ("Two brown dogs near a cat on a log.", set()),
        ("2 dogs near a cat on a log. The dogs are brown.", set()),
        ("Two brown dogs near a cat.", {"entities", "counts", "relations"}),
        ("Three brown dogs near a cat on a log.", {"counts"}),
        ("Two dogs near a brown cat on a log.", {"attributes"}),
        ("A brown cat, two dogs on a log.", {"attributes"}),
        ("Two brown dogs near two cats on a log.", {"counts"}),
        ("Two brown dogs near a cat beside a log.", {"relations"}),
        ("Two brown dogs running near a cat on a log.", {"leaked"}),
        ("", {"entities", "counts", "attributes", "relations"}),
    ],
)
def test_the_scorer_sees_each_fault(text, measures):
    assert lost(text) == measures


@pytest.mark.parametrize(
    ("cases", "most_leaked"),
    [
        ([case for case in SUITE if case.half == "tuned"], 0.01),
        ([case for case in SUITE if case.half == "held_out"], 0.01),
        (LATER, 0.02),
        (FRESH, 0.03),
        (TUNED, 0.02),
        (OUTSIDE, 0.035),
        (OUTSIDE_2, 0.035),
        (UNSEEN, 0.1),
        (UNSEEN_2, 0.085),
    ],
    ids=[
        "tuned",
        "held_out",
        "later",
        "fresh",
        "tuned_later",
        "outside",
        "outside_2",
        "unseen",
        "unseen_2",
    ],
)
def test_the_rules(cases, most_leaked):
    scored, _ = score(cases, Rewriting())
    found = summary(scored)
    report = "\n".join([*table(found), *found["wrong"]])
    assert found["all"]["entities"] >= 0.95, report
    assert found["all"]["counts"] >= 0.95, report
    assert found["all"]["attributes"] >= 0.95, report
    assert found["all"]["leaked"] <= most_leaked, report


def test_an_unwritten_prompt_leaks_all_and_an_error_loses_all():
    scored, _ = score(SUITE, Rewriting())
    raw = summary([replace(each, text=each.case.prompt) for each in scored])
    assert raw["all"]["leaked"] > 0.99
    failing, _ = score(SUITE[:3], Rewriting("server", Replays().open))
    assert summary(failing)["all"]["entities"] == 0
    assert all("no reply is left" in each.error for each in failing)


def test_a_model_is_opened_once_for_a_suite():
    model = Replays(*[as_json(GOOD_TEXT)] * 4)
    cases = [replace(CASE, prompt=PROMPT, entities=[], relations=[], final=[])] * 4
    scored, _ = score(cases, Rewriting("server", model.open))
    assert (model.opened, model.closed) == (1, 1)
    assert [each.text for each in scored] == [GOOD_TEXT] * 4


def test_a_file_of_prompts_is_read_and_others_are_refused(tmp_path: Path):
    file = tmp_path / "prompts.txt"
    file.write_text("A cat jumps.\n\n  A dog runs.  \n")
    assert [case.prompt for case in read_suite(file)] == ["A cat jumps.", "A dog runs."]
    for name, content in (("a.txt", b" \n"), ("b.jsonl", b'{"prompt": 1}'), ("c.txt", b"\xff")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PromptError, match=name):
            read_suite(tmp_path / name)
    with pytest.raises(PromptError, match="none"):
        read_suite(tmp_path / "none.txt")


def test_the_command_scores_and_writes(tmp_path: Path):
    file = tmp_path / "prompts.txt"
    file.write_text("A cat jumps.\nA dog runs.\nthen\n")

    def command(*more: str) -> str:
        words = [sys.executable, "-m", "fvg_core", "rewrite", str(file), *more]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    lines = command().splitlines()
    assert lines[1] == "A dog standing, poised before the action."
    assert lines[2].startswith("# The prompt 'then' names nothing")
    scored = command("--suite")
    assert "rules: 3 prompts" in scored
    assert "| all | 3 |" in scored


@pytest.mark.parametrize(
    ("backend", "error", "words"),
    [
        ("clip", PromptError, "outside of ComfyUI"),
        ("transformers", PromptError, "--model"),
        ("server", LanguageModelError, "no chat server is configured"),
    ],
)
def test_a_backend_that_cannot_be_used_says_why(tmp_path: Path, backend, error, words):
    with pytest.raises(error, match=words):
        run(None, True, backend, None, "bf16", tmp_path / "llm.json", 0, False)


def test_results_are_json():
    scored, _ = score(SUITE[:5], Rewriting())
    assert json.loads(json.dumps(summary(scored)))["all"]["prompts"] == 5
