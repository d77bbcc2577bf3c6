"""What any English word can be, by LemmInflect: its tables come of the SPECIALIST lexicon."""

from __future__ import annotations

from functools import lru_cache

VERB_FORMS = {"VB": "base", "VBZ": "s", "VBG": "ing", "VBD": "past", "VBN": "participle"}
ENDINGS = ("ing", "ed", "ly", "er", "s", "y")


@lru_cache(maxsize=10_000)
def readings(word: str) -> tuple[str, ...]:
    """ "drums": ("nouns", "verb-s"); the ending of a word that the dictionary does not have."""
    from lemminflect import getAllLemmas

    lemmas = getAllLemmas(word)
    found = {form for lemma in lemmas.get("VERB", ()) for form in verb_forms(word, lemma)}
    found |= {"noun" if word == lemma else "nouns" for lemma in lemmas.get("NOUN", ())}
    found |= {part.lower() for part in ("ADJ", "ADV") if part in lemmas}
    if found:
        return tuple(sorted(found))
    last = word.rpartition("-")[2]
    if last and last != word:
        return ("-", *readings(last))  # "moss-covered"
    return (ending(word),)


def ending(word: str) -> str:
    return next(("-" + end for end in ENDINGS if word.endswith(end)), "?")


def verb_forms(word: str, lemma: str) -> list[str]:
    from lemminflect import getAllInflections

    table = getAllInflections(lemma, "VERB")
    return [f"verb-{form}" for tag, form in VERB_FORMS.items() if word in table.get(tag, ())]
