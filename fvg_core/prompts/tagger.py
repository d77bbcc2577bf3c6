"""Which part of speech each word is, from closed lists and the words to its left and right.

Words of no closed list are decided in `open_words`. Tags:
det poss pron num adj noun ing-adj (before a noun) | verb part (describing participle) be aux
neg to | prep conj while later until rel | adv dir pos | camera lead | , .
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .adjectives import is_bare_adjective, is_look, is_look_after_be, name_headless
from .dictionary import ending, readings
from .left import BEFORE_NOUN, OPEN, SINGULAR, VERB_PARTICLES, Left, has_verb
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
        move(left, token)


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


def move(left: Left, token: Token) -> None:
    """Take one tagged word into what has been built."""
    kind, word = token.tag, token.lower
    verb = lexicon().verbs.get(word)
    if kind in ("det", "poss", "num", "adj", "ing-adj") and left.head and left.prev == "noun":
        left.head = ""
        left.det = left.det if kind in ("adj", "ing-adj") else ""
    if kind in ("det", "poss", "num"):
        outer = ("", "the", "all", "a", "an")  # "a dozen", "the two"
        left.det = word if left.det in outer else left.det
    elif kind in ("noun", "pron"):
        left.head = word
        if not left.in_prep and left.verbs == 0:
            left.subject_plural = left.plural or word in ("they", "we", "you")
    elif kind == "be":
        left.form = left.finite = "base" if word in ("are", "were") else "s"
    elif kind == "verb":
        forms = verb.forms if verb else {"s" if word.endswith("s") else "base"}
        left.form = "ing" if word.endswith("ing") else next(iter(sorted(forms)))
        left.form = "s" if "s" in forms else left.form
        left.form = "base" if left.prev in ("to", "aux") else left.form
        if not left.helper and left.form != "ing":
            left.finite = left.form
        left.verbs += 1
    if kind in ("verb", "aux"):
        left.causes = word in lexicon()["causative"]
    counted = left.prev == "det" or left.word in lexicon().numbers
    some = word == "of" and counted and left.word not in SINGULAR
    if kind in ("verb", "prep", "part", "be", "aux"):
        left.head, left.det = "", ""
        left.in_prep = kind == "prep" and not some  # but "two of the six penguins"
    elif kind == "conj":
        left.joined = bool(left.head) and left.verbs == 0 and not left.in_prep
        left.head, left.det, left.in_prep = "", "", False
    elif kind in (",", ".", "while", "later", "until", "rel"):
        subject, form, finite = left.subject_plural, left.form, left.finite
        if kind == "rel" and left.head:
            subject = left.plural  # "pigeons that flap": of the thing just named
        left.__init__(subject_plural=subject, form=form, finite=finite)
        if kind in (".", "while"):
            left.subject_plural, left.form, left.finite = None, "", ""
        left.head = word if kind == "rel" else ""
    left.modal = word in lexicon()["modal"] or (left.modal and kind in ("adv", "neg"))
    left.helper = kind in ("be", "aux") or (left.helper and kind in ("adv", "neg", "adj"))
    left.prev, left.word = kind, word
