"""The closed word lists, read once from the text files in `words/`."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

WORDS = Path(__file__).parent / "words"
VERB_KINDS = ("static", "phase", "result", "change", "action", "motion")
FURTHER = "further"  # a list of verbs of kind action, without their past forms


@dataclass
class Verb:
    """One form of a verb: which verb, what kind of event, which forms it can be."""

    lemma: str
    kind: str
    forms: set[str] = field(default_factory=set)  # of base, s, ing, past
    flags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lexicon:
    classes: dict[str, frozenset[str]]  # section name -> words and phrases
    verbs: dict[str, Verb]  # inflected form -> verb
    prepositions: dict[str, tuple[str, str]]  # -> first-frame form after a motion, after an action
    directions: dict[str, str]
    numbers: dict[str, int]
    pairs: frozenset[str]
    phrases: dict[str, tuple[tuple[str, ...], ...]]  # first word -> longer phrases, longest first

    def __getitem__(self, section: str) -> frozenset[str]:
        return self.classes[section]


def lines(name: str) -> list[str]:
    text = (WORDS / f"{name}.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def sections(name: str) -> dict[str, frozenset[str]]:
    """Words by [section]; a list without sections is one of its file's name."""
    words: dict[str, set[str]] = defaultdict(set)
    section = name
    for line in lines(name):
        if line.startswith("["):
            section = line.strip("[]")
            continue
        spaced = line.replace("\\ ", "_").split()
        words[section].update(word.replace("_", " ") for word in spaced)
    return {key: frozenset(value) for key, value in words.items()}


def inflect(lemma: str) -> dict[str, set[str]]:
    """Regular forms. Both spellings where one consonant may double: a superset does no harm."""
    stem = lemma[:-1] if lemma.endswith("e") else lemma
    ing, past = {stem + "ing"}, {stem + "ed"}
    if lemma.endswith("ee"):
        ing = {lemma + "ing"}
    if re.search(r"[^aeiou][aeiou][^aeiouwxy]$", lemma):
        ing.add(lemma + lemma[-1] + "ing")
        past.add(lemma + lemma[-1] + "ed")
    plural = lemma + ("es" if lemma.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")
    if lemma.endswith("y") and lemma[-2] not in "aeiou":
        plural, past = lemma[:-1] + "ies", {lemma[:-1] + "ied"}
    return {"base": {lemma}, "s": {plural}, "ing": ing, "past": past}


def read_verbs() -> dict[str, Verb]:
    irregular = dict(line.split(":", 1) for line in lines("irregular_verbs"))
    forms: dict[str, Verb] = {}
    for kind in (*VERB_KINDS, FURTHER):
        for line in lines(f"verbs_{kind}"):
            lemma, *options = line.split()
            flags = {key: value or "yes" for key, _, value in (o.partition("=") for o in options)}
            table = inflect(lemma)
            for word in irregular.get(lemma, "").split():
                if word.endswith("ing"):
                    table["ing"] = {word}
                else:
                    table["past"].add(word)
            if kind == FURTHER:
                del table["past"]
            for form, words in table.items():
                for word in words:
                    if kind == FURTHER and word in forms and forms[word].lemma != lemma:
                        continue  # what the other lists say counts
                    if word not in forms or forms[word].lemma != lemma:
                        forms[word] = Verb(
                            lemma, "action" if kind == FURTHER else kind, flags=flags
                        )
                    forms[word].forms.add(form)
    return forms


def read_pairs(name: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (x.partition("=") for x in lines(name))}


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    classes: dict[str, frozenset[str]] = {}
    for name in ("function_words", "nouns", "camera", "framing", "animate", "adjectives"):
        classes.update(sections(name))
    for name in ("participles", "shapes", "languages"):
        classes.update(sections(name))
    verbs = read_verbs()
    nouns = {word for word, verb in verbs.items() if "noun" in verb.flags and verb.forms - {"ing"}}
    classes["noun_first"] |= nouns
    prepositions = {
        key: (motion.strip(), action.strip())
        for key, value in read_pairs("prepositions").items()
        for motion, action in [value.split("|")]
    }
    directions = read_pairs("directions")
    numbers = {word: int(value) for word, value in (line.split() for line in lines("numbers"))}
    spoken = [*prepositions, *directions, *(w for group in classes.values() for w in group)]
    phrases: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for phrase in spoken:
        if " " in phrase:
            phrases[phrase.split()[0]].add(tuple(phrase.split()))
    longest = {key: tuple(sorted(value, key=len, reverse=True)) for key, value in phrases.items()}
    pairs = frozenset(lines("fixed_pairs"))
    return Lexicon(classes, verbs, prepositions, directions, numbers, pairs, longest)
