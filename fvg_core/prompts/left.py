"""What stands to the left of a word, and what that is called."""

from __future__ import annotations

from dataclasses import dataclass

from .dictionary import readings
from .lexicon import Lexicon, lexicon
from .tokens import Token

OPEN = ""  # still to be decided
BEFORE_NOUN = ("det", "poss", "num", "adj", "ing-adj")
SINGULAR = ("a", "an", "one", "another", "each", "every", "this", "that")
VERB_PARTICLES = ("up", "off", "away", "over", "out", "apart", "open", "shut")
BECOMES = frozenset({"fall", "go", "come", "run"})  # "falls silent", "goes black"
PLURAL = ("two", "several", "many", "some", "both", "these", "those", "few", "all")


@dataclass
class Left:
    """What the words to the left of the one in question have built."""

    prev: str = "."  # tag of the previous word
    word: str = ""
    det: str = ""  # first determiner or number of the open noun phrase
    head: str = ""  # its noun so far
    in_prep: bool = False
    subject_plural: bool | None = None  # number of the clause's first noun phrase, once read
    joined: bool = False  # "a vase and a lamp"
    form: str = ""  # form of the last verb of the sentence
    finite: str = ""  # form of its last finite verb: "is whisked off" is "s"
    verbs: int = 0  # verbs of the clause
    causes: bool = False  # a causative came: a base verb may follow the noun
    helper: bool = False  # "is", "was slowly": a verb form is due
    modal: bool = False  # "will", "does not": a base form is due

    @property
    def plural(self) -> bool:
        if self.det in SINGULAR:
            return False
        counted = self.det in PLURAL or (self.det in lexicon().numbers and self.det != "one")
        counted = counted or (self.det.isdigit() and self.det != "1")
        return bool(self.head) and (counted or is_plural(self.head))


def is_plural(noun: str) -> bool:
    lex = lexicon()
    if noun in lex["irregular_plural"]:
        return True
    return noun.endswith("s") and not noun.endswith("ss") and noun not in lex["singular_s"]


def is_one_thing(noun: str) -> bool:
    return "noun" in readings(noun) and not is_plural(noun)


def has_verb(tokens: list[Token], lex: Lexicon) -> bool:
    return any(t.lower in lex.verbs and t.lower not in lex["noun_first"] for t in tokens)
