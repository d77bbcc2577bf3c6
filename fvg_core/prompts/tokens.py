"""Text to words. Known phrases ("in front of") become one word; quotes and brackets go."""

import re
import unicodedata
from dataclasses import dataclass

from .lexicon import Lexicon, lexicon

STOPS = frozenset(".!?;\n")
BREAKS = STOPS | {",", ":"}
NEXT = frozenset({"and", "as", "while", "when", "then", "before", "until"})
WORD = re.compile(r"\d+(?:[.,]\d+)+|\w[\w'’\-]*|[^\w\s]|\n\s*\n")
PLAIN = {"’": "'", "‘": "'", "–": ",", "—": ",", "…": ".", "。": ".", ",": ",", "、": ","}


@dataclass
class Token:
    text: str
    lower: str
    tag: str = ""

    @property
    def breaks(self) -> bool:
        return self.lower in BREAKS


def tokenise(text: str) -> list[Token]:
    words = [PLAIN.get(w, w) for w in WORD.findall(text.replace("’", "'"))]
    words = [";" if not w.strip() else w for w in words if not _is_decoration(w)]
    return _join_phrases(words, lexicon())


def _is_decoration(word: str) -> bool:
    single = len(word) == 1 and word not in BREAKS and word != "&"
    return single and unicodedata.category(word)[0] in "PCZM"


def _counts(phrase: tuple[str, ...], after: list[str], lex: Lexicon) -> bool:
    """ "in two rows", where "in two" alone is how a thing splits."""
    counted = phrase[-1] in lex.numbers and after and after[0].isalpha()
    return bool(counted) and after[0] not in lex.prepositions and after[0] not in NEXT


def _join_phrases(words: list[str], lex: Lexicon) -> list[Token]:
    lowered = [w.lower() for w in words]
    tokens, i = [], 0
    while i < len(words):
        known = lex.phrases.get(lowered[i], ())
        fits = (p for p in known if tuple(lowered[i : i + len(p)]) == p)
        size = next((len(p) for p in fits if not _counts(p, lowered[i + len(p) :], lex)), 1)
        text = " ".join(words[i : i + size])
        tokens.append(Token(text, text.lower()))
        i += size
    return tokens
