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

    def take(self, token: Token) -> None:
        """One more word, which is tagged, into what has been built."""
        kind, word = token.tag, token.lower
        if kind in BEFORE_NOUN and self.head and self.prev == "noun":
            self.head = ""
            self.det = self.det if kind in ("adj", "ing-adj") else ""
        if kind in ("det", "poss", "num"):
            outer = ("", "the", "all", "a", "an")  # "a dozen", "the two"
            self.det = word if self.det in outer else self.det
        elif kind in ("noun", "pron"):
            self.head = word
            if not self.in_prep and self.verbs == 0:
                self.subject_plural = self.plural or word in ("they", "we", "you")
        elif kind == "be":
            self.form = self.finite = "base" if word in ("are", "were") else "s"
        elif kind == "verb":
            self._take_verb(word)
        self._end_phrase(kind, word)
        self.modal = word in lexicon()["modal"] or (self.modal and kind in ("adv", "neg"))
        self.helper = kind in ("be", "aux") or (self.helper and kind in ("adv", "neg", "adj"))
        self.prev, self.word = kind, word

    def _take_verb(self, word: str) -> None:
        verb = lexicon().verbs.get(word)
        forms = verb.forms if verb else {"s" if word.endswith("s") else "base"}
        self.form = "ing" if word.endswith("ing") else min(forms)
        self.form = "s" if "s" in forms else self.form
        self.form = "base" if self.prev in ("to", "aux") else self.form
        if not self.helper and self.form != "ing":
            self.finite = self.form
        self.verbs += 1

    def _end_phrase(self, kind: str, word: str) -> None:
        """Forget what a verb, a preposition or the end of a clause closes."""
        if kind in ("verb", "aux"):
            self.causes = word in lexicon()["causative"]
        if kind in ("verb", "prep", "part", "be", "aux"):
            counted = self.prev == "det" or self.word in lexicon().numbers
            some = word == "of" and counted and self.word not in SINGULAR
            self.head, self.det = "", ""
            self.in_prep = kind == "prep" and not some  # but "two of the six penguins"
        elif kind == "conj":
            self.joined = bool(self.head) and self.verbs == 0 and not self.in_prep
            self.head, self.det, self.in_prep = "", "", False
        elif kind in (",", ".", "while", "later", "until", "rel"):
            self._end_clause(kind, word)

    def _end_clause(self, kind: str, word: str) -> None:
        subject, form, finite = self.subject_plural, self.form, self.finite
        if kind == "rel" and self.head:
            subject = self.plural  # "pigeons that flap": of the thing just named
        if kind in (".", "while"):
            subject, form, finite = None, "", ""
        head = word if kind == "rel" else ""
        vars(self).update(vars(Left(head=head, subject_plural=subject, form=form, finite=finite)))


def is_plural(noun: str) -> bool:
    lex = lexicon()
    if noun in lex["irregular_plural"]:
        return True
    return noun.endswith("s") and not noun.endswith("ss") and noun not in lex["singular_s"]


def is_one_thing(noun: str) -> bool:
    return "noun" in readings(noun) and not is_plural(noun)


def has_verb(tokens: list[Token], lex: Lexicon) -> bool:
    return any(t.lower in lex.verbs and t.lower not in lex["noun_first"] for t in tokens)
