"""Finding a thing, its number and its attributes in free text, whatever its wording."""

from __future__ import annotations

from collections.abc import Sequence

from .lexicon import lexicon
from .phrases import NounPhrase, Phrase, read_phrases
from .tagger import tag
from .tokens import Token, tokenise

NEAR = 6  # words before a noun in which its number stands
IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot",
    "teeth": "tooth", "geese": "goose", "mice": "mouse", "oxen": "ox", "leaves": "leaf",
    "wolves": "wolf", "knives": "knife", "loaves": "loaf", "shelves": "shelf", "halves": "half",
    "scarves": "scarf", "calves": "calf", "kids": "child", "kid": "child",
}  # fmt: skip
SPELLING = {"gray": "grey", "color": "colour", "colored": "coloured", "colorful": "colourful"}


class Reading:
    """A text as tokens and phrases."""

    def __init__(self, text: str) -> None:
        self.tokens: list[Token] = tag(tokenise(text))
        self.phrases: list[Phrase] = read_phrases(self.tokens)
        self.words = [normal(t.lower) for t in self.tokens]


def normal(word: str) -> str:
    return SPELLING.get(word, word)


def singular(noun: str) -> str:
    """The stem under which singular and plural of a noun meet; the last word of several."""
    word = normal(noun.lower().split()[-1])
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def places(noun: str, reading: Reading) -> list[int]:
    """Where the noun stands among the words, in singular or plural."""
    stem = singular(noun)
    return [
        i for i, word in enumerate(reading.words) if word == normal(noun) or singular(word) == stem
    ]


def named(noun: str, reading: Reading) -> bool:
    return bool(places(noun, reading))


def counted(noun: str, count: int, reading: Reading) -> bool:
    """Two and more: the number stands before the noun. One: no greater number does, somewhere."""
    numbers = lexicon().numbers
    if count == 0:
        return True
    for i in places(noun, reading):
        before = _own_words(reading, i)
        said = [numbers.get(word, int(word) if word.isdecimal() else 0) for word in before]
        said = [number for number in said if number > 0]
        both = count == 2 and "both" in before
        if both or (count in said if count > 1 else not [n for n in said if n > 1]):
            return True
    return False


def _own_words(reading: Reading, noun_at: int) -> list[str]:
    """The words before a noun, back to the last break or preposition other than "of"."""
    own: list[str] = []
    for i in range(noun_at - 1, max(-1, noun_at - 1 - NEAR), -1):
        token = reading.tokens[i]
        stops = token.breaks or token.tag in ("verb", "conj", "pos")
        if stops or (token.tag == "prep" and token.lower != "of"):
            break
        own.append(reading.words[i])
    return own


def attached(attribute: str, noun: str, nouns: Sequence[str], reading: Reading) -> bool:
    """Every word of the attribute stands in the noun's own phrase, or is said of it afterwards.

    `nouns` are all things of the scene: what stands before another of them belongs to that one.
    """
    wanted = [normal(w) for w in attribute.lower().replace(",", " ").split()]
    wanted = [w for w in wanted if w not in ("a", "an", "the", "of", "and")]
    owners = _owners([singular(n) for n in nouns], reading)
    stem = singular(noun)
    return all(
        any(owner == stem for word, owner in owners if word == one or singular(word) == one)
        for one in wanted
    )


def _owners(stems: Sequence[str], reading: Reading) -> list[tuple[str, str]]:
    """Each word with the thing that it is said of: its phrase's noun, or the last thing named."""
    owners: list[tuple[str, str]] = []
    last = ""
    for phrase in reading.phrases:
        if phrase.kind == ".":
            last = ""
        parts = phrase.all if isinstance(phrase, NounPhrase) else [phrase]
        for part in parts:
            head = _thing(part, stems) if isinstance(part, NounPhrase) else ""
            own = head if head in stems else last
            owners += [
                (normal(word), own) for t in part.tokens for word in (t.lower, *t.lower.split())
            ]
            last = head if head in stems else last
    return owners


def _thing(phrase: NounPhrase, stems: Sequence[str]) -> str:
    """The thing that a noun phrase names: its head, or a word before it ("a closed tulip bud")."""
    named = [singular(t.lower) for t in phrase.tokens if singular(t.lower) in stems]
    head = singular(phrase.head)
    return head if head in stems or not named else named[-1]
