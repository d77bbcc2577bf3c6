"""Which part of speech a word of no closed list is: a linear model on its readings and its place.

An averaged perceptron (Collins 2002) with the weights of `words/open_words.txt`, which
`dev/tagger.py` learns from tagged prompts. Each feature is one thing known of the word joined with
one thing known of its place; no feature names an open word, so that new words are read like known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from .dictionary import ending, readings
from .left import OPEN, SINGULAR, Left, is_plural
from .lexicon import lexicon, lines
from .tokens import Token

TAGS = ("adj", "adv", "ing-adj", "noun", "part", "verb")
LISTS = ("adjectives", "participles", "animate", "ing_noun", "noun_first", "shapes", "camera_noun")
ONE = ("one", "another")
WHO = ("that", "who")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "last")
OTHERS = frozenset({"verb-s", "verb-past", "verb-participle"})
END = Token(".", ".", ".")
Weights = Mapping[str, Mapping[str, float]]  # feature -> tag -> weight


def choose(token: Token, left: Left, following: Sequence[Token]) -> str:
    return best(features(token, left, following), weights(), possible(token, left, following))


def possible(token: Token, left: Left, following: Sequence[Token]) -> Sequence[str]:
    """The tags that grammar leaves, by rules that the tagged prompts (nearly) never break."""
    if (left.word in ONE or left.word in WHO) and readings(token.lower) == ("nouns", "verb-s"):
        return ("verb",)  # "one wakes"
    if token.lower in lexicon()["shapes"] and "verb-s" in readings((*following, END)[0].lower):
        return ("noun",)  # "a red square remains still"
    if cannot_be_verb(token.lower, left):
        return tuple(name for name in TAGS if name != "verb")
    return TAGS


def cannot_be_verb(word: str, left: Left) -> bool:
    known = readings(word)
    numbered = left.det in lexicon().numbers and left.det != "one"
    if left.prev == "noun" and numbered and "nouns" in known and not is_plural(left.word):
        return True  # "six porcelain plates"
    if left.prev == "adj" and not left.head and left.word not in ORDINALS:
        counted = numbered or (left.det in SINGULAR and "verb-s" not in known)
        object_ = left.verbs and not left.det and "verb-s" in known  # "carries red boxes"
        return counted or bool(object_)
    if left.prev == "noun" and left.verbs and "verb-base" in known and not OTHERS & set(known):
        return bool(left.det) and not (left.plural or left.causes or left.modal)  # "the flour bag"
    return left.word == "whose"


def best(found: Iterable[str], table: Weights, among: Sequence[str] = TAGS) -> str:
    """The tag with the greatest sum of weights."""
    scores = dict.fromkeys(TAGS, 0.0)
    for feature in found:
        for tag, weight in table.get(feature, {}).items():
            scores[tag] += weight
    return max(among, key=scores.__getitem__)


@lru_cache(maxsize=1)
def weights() -> Weights:
    table = {}
    for line in lines("open_words"):
        feature, *values = line.split("\t")
        table[feature] = {t: float(v) for t, _, v in (value.partition("=") for value in values)}
    return table


@lru_cache(maxsize=10_000)
def listed(word: str) -> tuple[str, ...]:
    lex = lexicon()
    verb = lex.verbs.get(word)
    as_verb = () if verb is None else (verb.kind, *(f"{form}!" for form in sorted(verb.forms)))
    return (*as_verb, *(name for name in LISTS if word in lex[name]))


SOURCES = (listed, readings)  # what knows of a word; its ending stands in for both


def features(
    token: Token, left: Left, following: Sequence[Token], sources: Sequence[Callable] = SOURCES
) -> list[str]:
    known = [reading for source in sources for reading in source(token.lower)]
    known = known if readings in sources else [ending(token.lower)]
    return [f"{mine}|{where}" for where in places(left, following) for mine in ("", *known)]


def places(left: Left, following: Sequence[Token]) -> list[str]:
    """What is known of a word's place: the phrase and the clause to its left, two words after."""
    after, second = (*following[:2], END, END)[:2]
    number = {None: "?", True: "plural", False: "singular"}[left.subject_plural]
    head = ("plural" if left.plural else "singular") if left.head else "none"
    before = f"<{left.prev} {head}"
    phrase = f"{before} {kind_of_determiner(left.det)}"
    clause = f"{head} {number} {min(left.verbs, 1)}{left.in_prep:d}"
    help_ = f"{left.helper:d}{left.modal:d}{left.causes:d}{left.joined:d}"
    next_ = [f">{kind}" for kind in kinds(after)]
    return [
        *("", f"<{left.prev}", phrase, clause, f"{phrase} {clause}"),
        *(f"{before} {left.form}", f"{before} {left.finite} finite", f"helped {help_}"),
        f"{before} after animate {left.word in lexicon()['animate']}",
        *next_,
        *(f"{before} {kind}" for kind in next_),
        *(f">>{kind}" for kind in kinds(second)),
        f"{before} >{'/'.join(kinds(after))} >>{'/'.join(kinds(second))}",
    ]


def kinds(token: Token) -> tuple[str, ...]:
    """The tag of a word of a closed list, and the word; the readings of any other."""
    if token.tag == OPEN:
        return readings(token.lower)
    return (token.tag,) if token.breaks else (token.tag, token.lower)


def kind_of_determiner(word: str) -> str:
    if word in SINGULAR:
        return "singular"
    return "number" if word in lexicon().numbers else word and "other"
