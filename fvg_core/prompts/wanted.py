"""What a video prompt asks of its first frame, as the rules read it, for judging other writers."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PromptError
from .checks import LEFT_OVER
from .lexicon import lexicon
from .phrases import NounPhrase, Phrase, VerbPhrase, read_phrases
from .rules import RulesRewriter
from .tagger import tag
from .tokens import tokenise
from .types import Entity

SURE_OF = ("change", "result")  # verbs that make something of something
NO_STATE = ("time_span", "framing", "camera_noun", "lead")


@dataclass(frozen=True)
class Wanted:
    """Entities that must be in the first frame; verbs and words that must not."""

    entities: tuple[Entity, ...] = ()
    actions: frozenset[str] = frozenset()  # lemmas of the verbs that come after t = 0
    later: frozenset[str] = frozenset()  # nouns and adjectives of later states


def is_english(text: str) -> bool:
    """Latin letters for the most part, and no more small words of other languages than English."""
    letters = [c for c in text if c.isalpha()]
    if 2 * sum(not c.isascii() for c in letters) > len(letters):
        return False
    words = [t.lower for t in tokenise(text)]
    english = sum(word in lexicon()["english"] for word in words)
    foreign = sum(word in lexicon()["foreign"] for word in words)
    return foreign <= english + len(words) // 8


def read_wanted(prompt: str) -> Wanted:
    """Empty where the rules cannot read: another language, or a prompt that names nothing."""
    if not is_english(prompt):
        return Wanted()
    try:
        rewrite = RulesRewriter().rewrite(prompt, 0)
    except PromptError:
        return Wanted()
    entities = tuple(
        Entity(**{**entity, "attributes": tuple(entity["attributes"])})
        for entity in rewrite.report["entities"]
    )
    phrases = read_phrases(tag(tokenise(prompt)))
    verbs = [p for p in phrases if isinstance(p, VerbPhrase)]
    verbs = [v for v in verbs if v.flags.get("object") != "holding"]  # "carrying" can be a pose
    actions = {v.lemma for v in verbs if v.event in LEFT_OVER}
    shown = {t.lower for t in tokenise(rewrite.first_frame_prompt)}
    later = _later_words(phrases) - shown - actions
    return Wanted(tuple(e for e in entities if not _doubtful(e)), frozenset(actions), later)


def _doubtful(entity: Entity) -> bool:
    """A bare word that could be a verb as well: the rules may have misread it."""
    return entity.noun in lexicon().verbs and entity.text == entity.noun


def _later_words(phrases: list[Phrase]) -> frozenset[str]:
    """Adjectives and nouns behind "turns", "until", "then", to the end of the sentence."""
    until, later, found = False, False, set()
    ignored = {word for section in NO_STATE for word in lexicon()[section]}
    for i, phrase in enumerate(phrases):
        if phrase.kind in (".", "while", "conj"):
            later = until = until and phrase.kind == "conj"
        elif isinstance(phrase, VerbPhrase):
            later = until or phrase.event in SURE_OF or "turns" in phrase.flags
        elif phrase.kind == "until":
            later = until = True
        elif later and not _is_from(phrases, i):
            found |= {t.lower for t in _described(phrase)}
    return frozenset(found - ignored)


def _is_from(phrases: list[Phrase], i: int) -> bool:
    """ "from green": the first state."""
    return i > 0 and phrases[i - 1].kind == "prep" and phrases[i - 1].word not in ("to", "into")


def _described(phrase: Phrase) -> list:
    tags = ("adj", "noun", "part")
    named = phrase.all if isinstance(phrase, NounPhrase) else [phrase]
    if isinstance(phrase, NounPhrase) and phrase.definite:
        return []  # "turns the page": the page was there
    return [t for part in named for t in part.tokens if t.tag in tags]
