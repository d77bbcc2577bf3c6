"""Learns the weights that tell what an open word is: `python -m dev.tagger`.

The tagged prompts, `word/tag`, are those of the tests and some 250 more, and a few first frames.
The words of one phrase are joined with "_".
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fvg_core.prompts.dictionary import readings
from fvg_core.prompts.left import Left
from fvg_core.prompts.lexicon import WORDS
from fvg_core.prompts.open_words import TAGS, best, features, listed
from fvg_core.prompts.tagger import tag
from fvg_core.prompts.tokens import Token

TAGGED = Path(__file__).with_name("tagged_prompts.txt")
WEIGHTS = WORDS / "open_words.txt"
ROUNDS = 8
RUNS = 5
KNOWN = ((listed, readings), (readings,), ())  # what a round may know of a word, and how often
SHARES = (0.5, 0.35, 0.15)
ACTS = frozenset({"verb", "be", "aux", "neg", "to", "dir", "later", "until", "while"})
LEAST = 0.5  # smaller weights are left out
HEAD = """\
# Learnt by dev/tagger.py: a word's reading | its place, and for each tag what they add to it.
"""


def read_tagged() -> list[list[Token]]:
    prompts = []
    for line in TAGGED.read_text(encoding="utf-8").splitlines():
        pairs = (word.rpartition("/") for word in line.split())
        prompts.append(
            [Token(w.replace("_", " "), w.replace("_", " ").lower(), t) for w, _, t in pairs]
        )
    return prompts


def still(prompt: Sequence[Token]) -> list[Token]:
    """The same without its verbs, as a first frame is told: "a magnet near a pile of nails"."""
    told: list[Token] = []
    for token in prompt:
        if token.tag not in ACTS:
            told.append(token)
        elif told and told[-1].tag == "noun":
            told.append(Token("near", "near", "prep"))
    return told


class Example:
    """One open word: its features by what is known of it, and its tag."""

    def __init__(self, token: Token, left: Left, following: Sequence[Token], tag: str) -> None:
        self.word, self.tag = token.lower, tag
        self.found = [features(token, left, following, known) for known in KNOWN]


def examples(prompts: Sequence[Sequence[Token]]) -> list[Example]:
    """Of each open word that the tagger comes to, with all words before it tagged rightly."""
    found: list[Example] = []
    for prompt in prompts:
        right = iter(prompt)
        tokens = [Token(t.text, t.lower) for t in prompt]
        tags = {id(token): known.tag for token, known in zip(tokens, right, strict=True)}

        def answer(token: Token, left: Left, following: Sequence[Token], tags=tags) -> str:
            chosen = tags[id(token)]
            found.append(Example(token, left, following, chosen))
            return chosen

        tag(tokens, answer)
    return [each for each in found if each.tag in TAGS]


def learn(data: Sequence[Example], rounds: int = ROUNDS, seed: int = 0) -> dict[str, dict]:
    """An averaged perceptron. In half of the rounds a word is read as if it were less known."""
    rng = random.Random(seed)
    table: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TAGS, 0.0))
    drawn: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TAGS, 0.0))
    step = 1
    for _ in range(rounds):
        level: dict[str, int] = defaultdict(lambda: rng.choices(range(len(KNOWN)), SHARES)[0])
        for each in rng.sample(data, len(data)):
            found = each.found[level[each.word]]
            chosen = best(found, table)
            for feature in found if chosen != each.tag else ():
                for name, change in ((each.tag, 1.0), (chosen, -1.0)):
                    table[feature][name] += change
                    drawn[feature][name] += step * change
            step += 1
    return {
        feature: {name: value - drawn[feature][name] / step for name, value in values.items()}
        for feature, values in table.items()
    }


def averaged(data: Sequence[Example]) -> dict[str, dict[str, float]]:
    """The mean of several runs, which see the words in other orders."""
    total: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TAGS, 0.0))
    for seed in range(RUNS):
        for feature, values in learn(data, seed=seed).items():
            for name, value in values.items():
                total[feature][name] += value / RUNS
    return total


def save(table: dict[str, dict]) -> None:
    rows = []
    for feature, values in sorted(table.items()):
        kept = [f"{name}={v:.1f}" for name, v in values.items() if abs(v) >= LEAST]
        rows += ["\t".join([feature, *kept])] if kept else []
    WEIGHTS.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    prompts = read_tagged()
    data = examples([*prompts, *map(still, prompts)])
    table = averaged(data)
    save(table)
    right = sum(best(each.found[0], table) == each.tag for each in data)
    print(f"{len(data)} words, {right / len(data):.4f} right, {len(table)} features")


if __name__ == "__main__":
    main()
