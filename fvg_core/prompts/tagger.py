"""Which part of speech each word is, from closed lists and the words to its left and right.

Words of no closed list are decided in `open_words`. Tags:
det poss pron num adj noun ing-adj (before a noun) | verb part (describing participle) be aux
neg to | prep conj while later until rel | adv dir pos | camera lead | , .
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .adjectives import is_bare_adjective, is_look, is_look_after_be, name_headless
from .dictionary import ending, readings
from .left import BEFORE_NOUN, OPEN, VERB_PARTICLES, Left, has_verb
from .lexicon import Lexicon, lexicon
from .open_words import choose
from .tokens import STOPS, Token

CLOSED = (  # section of the word lists -> tag, first match wins
    ("position", "pos"),
    ("be", "be"),
    ("auxiliary", "aux"),
    ("negation", "neg"),
    ("until", "until"),
    ("later", "later"),
    ("while", "while"),
    ("relative", "rel"),
    ("conjunction", "conj"),
    ("manner_phrase", "adv"),
    ("determiner", "det"),
    ("possessive", "poss"),
    ("pronoun", "pron"),
    ("adverb", "adv"),
)
FRONTED = ("after", "before", "once")  # open a clause of time at the start of a sentence
Choice = Callable[[Token, Left, Sequence[Token]], str]


def tag(tokens: list[Token], choose: Choice = choose) -> list[Token]:
    """Fill in every token's tag; `choose` says what a word of no closed list is."""
    lex = lexicon()
    for i, token in enumerate(tokens):
        token.tag = closed_tag(token, lex)
        if token.tag == "num" and i + 1 < len(tokens) and tokens[i + 1].lower == "of":
            token.tag = "noun"  # "a pair of shoes"
        if token.lower == "up to" and is_infinitive(tokens[i + 1 : i + 3], lex):
            token.tag = "to"  # "curls up to sleep"
        if token.lower == "to" and i + 1 < len(tokens):
            opens = closed_tag(tokens[i + 1], lex) in ("det", "poss", "num")
            caused = i > 0 and tokens[i - 1].tag == "pron" and not opens  # "causing it to trip"
            token.tag = "to" if caused or is_infinitive(tokens[i + 1 : i + 3], lex) else "prep"
    for one, by, again in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if by.lower == "by" and one.lower == again.lower:  # "drop by drop"
            one.tag = by.tag = again.tag = "adv"
        if one.lower == again.lower == "as":  # "as flat as a blade"
            one.tag, again.tag = "adv", "prep"
    read_open(tokens, lex, choose)
    name_headless(tokens)
    return tokens


def read_open(tokens: list[Token], lex: Lexicon, choose: Choice) -> None:
    """Tags for the words that no closed list has, from left to right."""
    left = Left()
    for i, token in enumerate(tokens):
        following = tokens[i + 1 : i + 4]
        if token.tag == OPEN:
            token.tag = open_tag(token, left, following, lex, choose)
        elif token.lower in ("can", "will") and is_named(token, left, lex):
            token.tag = "noun"  # "a watering can"
        elif token.tag == "adv" and is_look(token, left, following, lex):
            token.tag = "adj"  # "a burly lumberjack"
        elif is_rest(token, left, following):
            token.tag = "noun"
        elif token.tag in ("prep", "dir", "later", "while", "adv"):
            token.tag = ambiguous_tag(token, left, following, lex)
        left.take(token)


def is_named(token: Token, left: Left, lex: Lexicon) -> bool:
    """A noun that looks like an auxiliary: "a can", "a watering can"."""
    return left.prev in BEFORE_NOUN or f"{left.word} {token.lower}" in lex.pairs


def is_rest(token: Token, left: Left, following: list[Token]) -> bool:
    """A number word for a thing: "the plain one sinks", "one going left", "three more scuttle"."""
    if token.lower == "more":
        return left.prev == "num"
    goes = bool(following) and following[0].lower.endswith("ing")
    return token.lower == "one" and (left.prev in ("det", "adj") or (left.prev == "," and goes))


def is_infinitive(following: list[Token], lex: Lexicon) -> bool:
    """ "to jump", and "to join a herd" though "join" is in no list."""
    verb = lex.verbs.get(following[0].lower) if following else None
    if verb:
        return "base" in verb.forms and following[0].lower not in lex["to_noun"]
    if not following:
        return False
    unknown = closed_tag(following[0], lex) == OPEN and following[0].lower not in lex["adjectives"]
    return unknown and len(following) > 1 and closed_tag(following[1], lex) in ("det", "poss")


def closed_tag(token: Token, lex: Lexicon) -> str:
    word = token.lower
    if token.breaks:
        return "." if word in STOPS else ","
    if word in lex.numbers or word.replace(",", "").replace(".", "").isdecimal():
        return "num"
    for section, name in CLOSED:
        if word in lex[section]:
            return name
    if word in lex.prepositions:
        return "prep"
    if word in lex.directions:
        return "dir"
    if word.endswith("'s"):
        return "poss"
    if word.endswith(("wards", "ways", "wise")) and word not in ("always", "railways"):
        return "adv"
    if word.endswith("ward") and not {"noun", "verb-base"} & set(readings(word)):
        return "adv"  # "earthward"
    if word.endswith("ly") and {"adv", ending(word)} & set(readings(word)):
        return "adv"
    return OPEN


def ambiguous_tag(token: Token, left: Left, following: list[Token], lex: Lexicon) -> str:
    """ "up a ramp" or "goes up"; "before a mirror" or "before jumping"; "left" on either side."""
    word, after = token.lower, following[0] if following else None
    if word in ("left", "right") and left.prev in BEFORE_NOUN and after and after.tag == OPEN:
        return "adj"
    if word in ("left", "right") and left.prev in ("det", "poss"):
        return "noun"
    if word in lex["adjectives"] and left.prev in BEFORE_NOUN:
        return "adj"
    if token.tag == "prep" and left.prev in ("det", "poss") and after and after.tag == OPEN:
        return "adj"  # "the opposite wall", "the inside lane"
    if word in VERB_PARTICLES and left.prev == "verb" and is_bare_adjective(following, lex):
        return "adv"  # "ends up pink"
    starts_noun = after is not None and after.tag in ("det", "poss", "num", "pron", OPEN, "adj")
    if token.tag == "dir" and word in lex.prepositions and starts_noun:
        return "prep"
    if token.tag == "prep" and not starts_noun and word in lex.directions:
        return "dir"
    if token.tag == "prep" and not starts_noun and left.verbs and word != "of":
        return "adv"
    if word in FRONTED and left.prev == "." and after is not None and not after.breaks:
        return "while"  # "After tuning his guitar, a busker begins"
    if word in ("before", "after") and after is not None and not has_verb(following, lex):
        # "waddle after their mother" is a way, "bow before the match" a time.
        return "later" if left.verbs and (word == "before" or left.prev != "verb") else "prep"
    if word == "as" and (left.prev in ("part", "verb") or left.word == "up"):
        acts = [t.lower for t in following if lex.verbs.get(t.lower)]
        acts = [w for w in acts if w not in lex["noun_first"] or "s" in lex.verbs[w].forms]
        return "while" if acts else "prep"
    return token.tag


def open_tag(token: Token, left: Left, following: list[Token], lex: Lexicon, choose: Choice) -> str:
    if left.prev == "to":
        return "verb"
    if token.lower in lex["predicative"]:
        return "adj"
    if left.prev == "be" and is_look_after_be(token.lower, following, lex):
        return "part"
    if following and f"{token.lower} {following[0].lower}" in lex.pairs:
        return "noun"
    return choose(token, left, following)
