"""Text to words. Known phrases ("in front of") become one word; quotes and brackets go."""

import re
import unicodedata
from dataclasses import dataclass

from .lexicon import Lexicon, lexicon

STOPS = frozenset(".!?;\n")
BREAKS = STOPS | {",", ":"}
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


def _join_phrases(words: list[str], lex: Lexicon) -> list[Token]:
    lowered = [w.lower() for w in words]
    tokens, i = [], 0
    while i < len(words):
        known = lex.phrases.get(lowered[i], ())
        size = next((len(p) for p in known if tuple(lowered[i : i + len(p)]) == p), 1)
        text = " ".join(words[i : i + size])
        tokens.append(Token(text, text.lower()))
        i += size
    return tokens
