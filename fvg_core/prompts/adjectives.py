"""Adjectives that stand for a noun, and words in -ly that are adjectives."""

from __future__ import annotations

from .dictionary import readings
from .left import BEFORE_NOUN, OPEN, Left
from .lexicon import Lexicon
from .tokens import Token

MATERIALS = frozenset(
    ("stone", "glass", "metal", "paper", "brick", "crystal", "marble", "plastic", "leather", "clay")
)


def name_headless(tokens: list[Token]) -> None:
    """An adjective with a determiner and no noun is the noun: "an orange", "a piece of glass"."""
    for i, token in enumerate(tokens):
        after = tokens[i + 1].tag if i + 1 < len(tokens) else "."
        if token.lower in MATERIALS and token.tag == "adj" and _is_odd_adjective(tokens, i, after):
            token.tag = "noun"
        if token.tag == "adj" and after not in (*BEFORE_NOUN, "noun", "conj", ","):
            start = i
            while start and tokens[start - 1].tag in ("adj", "ing-adj"):
                start -= 1
            before = tokens[start - 1] if start else token
            opens = (
                start < i and (start == 0 or before.tag == ".") and after in ("prep", "verb", "be")
            )
            if before.tag in ("det", "poss", "num") or before.lower == "of" or opens:
                token.tag = "noun"  # "wet concrete on the pavement", too


def _is_odd_adjective(tokens: list[Token], i: int, after: str) -> bool:
    """ "a mossy stone": an adjective of no list before a material that is a thing here."""
    before = tokens[i - 1] if i else tokens[i]
    return (
        before.tag == "noun" and before.lower.endswith("y") and after not in (*BEFORE_NOUN, "noun")
    )


def is_look(token: Token, left: Left, following: list[Token], lex: Lexicon) -> bool:
    """A word in -ly before a noun, and not before what it could say more of."""
    if not token.lower.endswith("ly") or left.prev not in BEFORE_NOUN or not following:
        return False
    after = following[0]
    described = after.lower in lex["adjectives"] | lex["participles"] or is_participle(after.lower)
    return after.tag == OPEN and not described and not after.lower.endswith(("ing", "en", "n"))


def is_bare_adjective(following: list[Token], lex: Lexicon) -> bool:
    alone = len(following) < 2 or following[1].tag != OPEN
    return bool(following) and following[0].lower in lex["adjectives"] and alone


def is_look_after_be(word: str, following: list[Token], lex: Lexicon) -> bool:
    """ "is torn and muddy", "is parked behind a truck": how a thing looks, not what befalls it."""
    if word in lex["placed"]:
        return True
    joined = len(following) > 1 and following[0].tag == "conj"
    return joined and "verb-participle" in readings(word) and "adj" in readings(following[1].lower)


def is_participle(word: str) -> bool:
    """ "braided", but not "bed" or "reed"."""
    stem = word.removesuffix("ed")
    return stem != word and not word.endswith("eed") and any(c in "aeiouy" for c in stem)
