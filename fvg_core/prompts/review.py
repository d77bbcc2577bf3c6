"""Checks on what a language model wrote. They read the text itself and trust nothing else.

Each gives a `Check`; the detail of a failed one is what the model is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from .lexicon import lexicon
from .matching import Reading, attached, counted, named
from .phrases import VerbPhrase
from .types import Check, Entity
from .wanted import Wanted, is_english

LIST_OR_MARKUP = re.compile(r"\n|```|^\s*(?:[-*#•]|\d+[.)])\s|<prompt>|</prompt>")
REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:cannot|can't|can not|won't|must decline)"
    r"|as an? (?:ai|language model)|i apologi[sz]e|unable to (?:help|assist|comply|fulfil))",
    re.IGNORECASE,
)
STORY = {"then", "until", "till", "eventually", "finally", "afterwards", "gradually", "suddenly"}
BEGINNINGS = {"begin", "start", "become", "transform", "proceed"}
HAN_AND_KANA = (
    r"[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U0003ffff]"
)
THAI_LAO_BURMESE_KHMER = r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
# Scripts without spaces, and how many characters count as a word of them: a rule of thumb.
UNSPACED = ((re.compile(HAN_AND_KANA), 2), (re.compile(THAI_LAO_BURMESE_KHMER), 4))
SIMILAR = 0.85  # share of common words from which on two versions are the same


def review_first_frame(
    text: str,
    own: Sequence[Entity],
    wanted: Wanted,
    *,
    words: tuple[int, int],
    language: str,
    earlier: Sequence[str] = (),
) -> list[Check]:
    """Every check of a first-frame prompt.

    `own` are the entities that the writer lists, `wanted` those of the original prompt, `words`
    the bounds of the length, `earlier` other versions that this one must differ from.
    """
    english = _is(language, "english")
    told = [*own, *(wanted.entities if english else ())]
    return [
        *_form(text, words, language),
        *_content(text, told, english),
        _check("no later state", later_words(text, wanted) if english else []),
        *([_distinct(text, earlier)] if earlier else []),
    ]


def review_video(
    text: str, task: str, wanted: Wanted, *, words: tuple[int, int], language: str
) -> list[Check]:
    """Checks of a video prompt: its form, and for "upsampled" that it keeps what the prompt has."""
    english = _is(language, "english")
    checks = _form(text, words, language)
    if english and task == "upsampled":
        checks += _content(text, wanted.entities, english)
    if english and wanted.actions:
        said = {p.lemma for p in Reading(text).phrases if isinstance(p, VerbPhrase)}
        checks.append(_check("motion", [] if said else ["no word of a motion"]))
    return checks


def count_words(text: str) -> int:
    """Words between spaces; of the UNSPACED scripts, as many as their characters count for."""
    size = 0.0
    for script, characters in UNSPACED:
        text, found = script.subn(" ", text)
        size += found / characters
    return round(size) + sum(any(map(str.isalnum, word)) for word in text.split())


def _is(language: str, name: str) -> bool:
    return language.strip().lower() == name


def _check(name: str, problems: Sequence[str]) -> Check:
    return Check(name, not problems, ", ".join(dict.fromkeys(problems)))


def _form(text: str, words: tuple[int, int], language: str) -> list[Check]:
    refused = REFUSAL.search(text)
    marked = LIST_OR_MARKUP.search(text)
    size = count_words(text)
    spoken = not text or not _is(language, "english") or is_english(text)
    shape = [] if text and not marked else ["not one paragraph of plain text" if text else "empty"]
    return [
        _check("refusal", [refused[0]] if refused else []),
        _check("language", [] if spoken else [f"the text is not {language}"]),
        _check("one paragraph", shape),
        Check(
            "length",
            words[0] <= size <= words[1],
            f"{size} words, {words[0]} to {words[1]} expected",
        ),
    ]


def _content(text: str, entities: Sequence[Entity], english: bool) -> list[Check]:
    """Entities, their counts and attributes. In other languages only that the words are there."""
    if not english:
        lower = text.lower()
        stems = {e.noun: e.noun.lower().split()[-1][:4] for e in entities}
        return [_check("entities", [noun for noun, stem in stems.items() if stem not in lower])]
    reading = Reading(text)
    there = [e for e in entities if named(e.noun, reading)]
    nouns = [e.noun for e in entities]
    return [
        _check("entities", [f"{e.noun} is missing" for e in entities if e not in there]),
        _check(
            "counts",
            [f"{e.count} {e.noun}" for e in there if not counted(e.noun, e.count, reading)],
        ),
        _check(
            "attributes",
            [
                f"{attribute} for {e.noun}"
                for e in there
                for attribute in e.attributes
                if not attached(attribute, e.noun, nouns, reading)
            ],
        ),
    ]


def later_words(text: str, wanted: Wanted) -> list[str]:
    """Words of the prompt's own actions and later states, of a story, or of a moving camera."""
    reading, found = Reading(text), []
    for phrase in reading.phrases:
        if isinstance(phrase, VerbPhrase) and phrase.lemma in (wanted.actions | BEGINNINGS):
            found.append(phrase.text)
    for token in reading.tokens:
        verb = lexicon().verbs.get(token.lower)
        if token.tag == "ing-adj" and verb and verb.lemma in wanted.actions:
            found.append(token.lower)
        if token.lower in STORY or token.lower in wanted.later:
            found.append(token.lower)
    lower = [t.lower for t in reading.tokens]
    moves = {f for f, v in lexicon().verbs.items() if v.lemma in lexicon()["camera_verb"]}
    for first, second in pairwise(lower):
        if first == "camera" and second in moves:
            found.append(f"{first} {second}")
    return found


def _distinct(text: str, earlier: Sequence[str]) -> Check:
    """No earlier version has nearly the same words."""
    ours = {t.lower for t in Reading(text).tokens}
    for other in earlier:
        theirs = {t.lower for t in Reading(other).tokens}
        if len(ours & theirs) > SIMILAR * len(ours | theirs):
            return Check("distinct", False, "nearly the same as an earlier version")
    return Check("distinct", True, "")
