"""How well a backend rewrites: 140 prompts with what their first frames must and must not show.

The matching of words here shares no code with the rules and the checks. Each prompt has

entities   [{noun, count, attributes}]; count 0: the prompt says no number, or it cannot be counted
relations  [[noun, words between, noun]] that hold at the start
initial    words of states and places that hold at the start
final      words of motions and of later states, in any form
half       tuned: looked at while the rules were written; held_out: not
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PromptError

OWN = Path(__file__).parent / "suite.jsonl"
MEASURES = ("entities", "counts", "attributes", "relations", "initial", "leaked")
NUMBERS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
BEFORE = 5  # words before a noun in which its number and attributes stand
COPULAS = {"is", "are", "was", "were", "remains", "stays", "looks"}


@dataclass(frozen=True)
class Case:
    """One prompt and its expectations."""

    prompt: str
    category: str
    half: str
    entities: list[dict]
    relations: list[list[str]]
    initial: list[str]
    final: list[str]


def read_suite(path: Path = OWN) -> list[Case]:
    """The cases of a suite (.jsonl), or the bare prompts of a text file, one a line.

    Raises PromptError for a file that is neither.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"{path.name} cannot be read: {error}. Give a text file with one prompt a line, or a "
            "suite as JSON lines."
        ) from error
    lines = [line for line in lines if line]
    if not lines:
        raise PromptError(f"{path.name} is empty. Write one prompt a line.")
    if path.suffix != ".jsonl":
        return [Case(line, "prompts", "held_out", [], [], [], []) for line in lines]
    try:
        return [Case(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise PromptError(
            f"{path.name} is no suite ({error}). Each line is a JSON object with prompt, category, "
            "half, entities, relations, initial and final."
        ) from error


def words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def forms(word: str) -> set[str]:
    """A word and its regular inflections, as a verb or a noun."""
    stem, last = word.removesuffix("e"), word[-1]
    found = {word + ending for ending in ("", "s", "es", "d", "ed", "ing")}
    found |= {stem + "ing", stem + "ed", word + last + "ing", word + last + "ed"}
    if last == "y":
        found |= {word[:-1] + "ies", word[:-1] + "ied"}
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    if word.endswith("es"):
        found.add(word[:-2])
    return found | ({word[:-1]} if last == "s" else set())


def places(noun: str, output: Sequence[str]) -> list[int]:
    known = forms(noun)
    return [i for i, word in enumerate(output) if word in known]


def has_count(noun: str, count: int, output: Sequence[str]) -> bool:
    """The number stands before the noun; a single thing has no greater number before it."""
    said = {NUMBERS[count - 1], str(count)} if count <= len(NUMBERS) else {str(count)}
    said |= {"dozen"} if count == 12 else set()
    larger = set(NUMBERS[1:])
    before = [set(output[max(0, i - BEFORE) : i]) for i in places(noun, output)]
    if count == 1:
        near = [set(output[max(0, i - 2) : i]) for i in places(noun, output)]
        return any(not larger & found for found in near)
    return any(said & found for found in before)


def has_attribute(noun: str, attribute: str, output: Sequence[str], others: set[str]) -> bool:
    """The attribute stands before its noun with no other noun between, or after a copula."""
    for i in places(noun, output):
        before = list(output[max(0, i - BEFORE) : i])
        while others & set(before):
            before.pop(0)
        after = list(output[i + 1 : i + 4])
        if attribute in before or (after and after[0] in COPULAS and attribute in after[1:]):
            return True
    return False


def has_relation(relation: Sequence[str], output: Sequence[str]) -> bool:
    first, between, second = relation
    said = f" {' '.join(output)} "
    return f" {between} " in said and all(places(noun, output) for noun in (first, second))


def judge(case: Case, output: str) -> dict[str, list[tuple[str, bool]]]:
    """By measure: each expectation and whether it is met; of "leaked", whether it is there."""
    found = words(output)
    nouns = {form for e in case.entities for form in forms(e["noun"])}
    attributes = [(e["noun"], a) for e in case.entities for a in e["attributes"]]
    counted = [e for e in case.entities if e["count"] > 0]
    return {
        "entities": [(e["noun"], bool(places(e["noun"], found))) for e in case.entities],
        "counts": [
            (f"{e['count']} {e['noun']}", has_count(e["noun"], e["count"], found)) for e in counted
        ],
        "attributes": [
            (f"{a} {n}", has_attribute(n, a, found, nouns - forms(n) - {a})) for n, a in attributes
        ],
        "relations": [(" ".join(r), has_relation(r, found)) for r in case.relations],
        "initial": [(w, bool(forms(w) & set(found))) for w in case.initial],
        "leaked": [(w, bool(forms(w) & set(found))) for w in case.final],
    }


def shares(judged: Sequence[dict[str, list[tuple[str, bool]]]]) -> dict[str, float | None]:
    """The share of met expectations by measure; None where nothing was expected."""
    shares = {}
    for name in MEASURES:
        verdicts = [met for case in judged for _, met in case[name]]
        shares[name] = sum(verdicts) / len(verdicts) if verdicts else None
    return shares


def wrong(case: Case, output: str) -> list[str]:
    """One line for each expectation that is not met."""
    return [
        f"{name}: {what} | {case.prompt} -> {output}"
        for name, verdicts in judge(case, output).items()
        for what, met in verdicts
        if met == (name == "leaked")
    ]
