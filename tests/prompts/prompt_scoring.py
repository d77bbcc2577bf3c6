"""How well a first-frame prompt keeps what must stay and drops what must go.

The word matching here shares no code with the rewriter.
"""

import json
import re
from pathlib import Path

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()
]


def words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def forms(verb: str) -> set[str]:
    """The word and its regular inflections."""
    stem, last = verb.rstrip("e"), verb[-1]
    endings = {verb, verb + "s", verb + "es", verb + "ing", stem + "ing", verb + last + "ing"}
    endings |= {verb + "ed", verb + "d", verb + last + "ed", stem + "ed"}
    return endings | ({verb[:-1] + "ies", verb[:-1] + "ied"} if last == "y" else set())


def has_entity(entity: dict, output: list[str]) -> bool:
    """The noun is there, with its count word (a and an are one) among the five words before it."""
    counts = {"a", "an"} if entity["count"] in ("a", "an") else {entity["count"]}
    for i, word in enumerate(output):
        if word == entity["noun"] and (
            not entity["count"] or counts & set(output[max(0, i - 5) : i])
        ):
            return True
    return False


def has_attribute(entity: dict, attribute: str, output: list[str]) -> bool:
    """The attribute is bound: it stands among the four words before its noun."""
    return any(
        word == entity["noun"] and attribute in output[max(0, i - 4) : i]
        for i, word in enumerate(output)
    )


def judge(case: dict, output: str) -> dict[str, list[tuple[str, bool]]]:
    found = words(output)
    attributes = [(e, a) for e in case["entities"] for a in e["attributes"]]
    return {
        "entities": [(e["noun"], has_entity(e, found)) for e in case["entities"]],
        "attributes": [(f"{a} {e['noun']}", has_attribute(e, a, found)) for e, a in attributes],
        "kept": [(k, k in found) for k in case["keep"]],
        "leaked": [(g, bool(forms(g) & set(found))) for g in case["gone"]],
    }


def score(half: str, rewrite) -> tuple[dict[str, float], list[str]]:
    """Shares over all cases of a half, and one line for each thing that went wrong."""
    totals: dict[str, list[bool]] = {}
    wrong = []
    for case in (c for c in CASES if c["half"] == half):
        output = rewrite(case["prompt"])
        for name, verdicts in judge(case, output).items():
            totals.setdefault(name, []).extend(v for _, v in verdicts)
            bad = [what for what, v in verdicts if v == (name == "leaked")]
            wrong += [f"{name}: {what} | {case['prompt']} -> {output}" for what in bad]
    return {name: sum(v) / len(v) for name, v in totals.items()}, wrong
