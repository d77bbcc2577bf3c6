"""The first frame as yes/no questions, for a model that looks at a picture of it."""

from __future__ import annotations

from collections.abc import Sequence

from .left import is_plural
from .matching import singular
from .phrases import NounPhrase, Phrase, VerbPhrase, read_phrases
from .tagger import tag
from .tokens import tokenise
from .types import Entity, Question

PLACES = frozenset(
    (
        *("on", "in", "under", "behind", "above", "below", "beneath", "between", "near", "beside"),
        *("against", "over", "at", "wearing", "inside", "around", "in front of"),
        *("next to", "on top of", "left of", "right of", "to the left of", "to the right of"),
        *("on the left of", "on the right of"),
    )
)


def checklist(entities: Sequence[Entity], text: str) -> list[Question]:
    """Questions on presence and number, on each attribute and place, and on what stands how to
    what in `text`. The right answer to each is yes."""
    questions: list[Question] = []
    for entity in entities:
        questions.append(Question(_presence(entity), entity.noun))
        verb = "Are" if _many(entity) else "Is"
        for attribute in entity.attributes:
            questions.append(Question(f"{verb} the {entity.noun} {attribute}?", entity.noun))
        if entity.position:
            questions.append(Question(f"{verb} the {entity.noun} {entity.position}?", entity.noun))
    questions += _relations(entities, text)
    return list(dict.fromkeys(questions))


def _many(entity: Entity) -> bool:
    return entity.count > 1 or (entity.count == 0 and is_plural(entity.noun))


def _presence(entity: Entity) -> str:
    if entity.count > 1:
        return f"Are there exactly {entity.count} {entity.noun} in the picture?"
    if entity.count == 1:
        single = entity.noun
        article = "an" if single[:1].lower() in "aeiou" else "a"
        return f"Is there {article} {single} in the picture?"
    return f"{'Are' if _many(entity) else 'Is'} there {entity.noun} in the picture?"


def _relations(entities: Sequence[Entity], text: str) -> list[Question]:
    """Two entities with a preposition between them: "Is the vase between the candlesticks?" """
    known = {singular(entity.noun): entity for entity in entities}
    phrases = [p for p in read_phrases(tag(tokenise(text))) if not _between(p)]
    found = []
    for first, link, second in zip(phrases, phrases[1:], phrases[2:], strict=False):
        if not isinstance(first, NounPhrase) or not isinstance(second, NounPhrase):
            continue
        word = link.text.lower()
        subject, place = known.get(singular(first.head)), known.get(singular(second.head))
        if link.kind != "prep" or word not in PLACES or not (subject and place):
            continue
        verb = "Are" if _many(subject) else "Is"
        found.append(Question(f"{verb} the {subject.noun} {word} the {place.noun}?", subject.noun))
    return found


def _between(phrase: Phrase) -> bool:
    """What may stand between a thing and its place: "standing", "is", an adverb."""
    if isinstance(phrase, VerbPhrase):
        return phrase.event in ("static", "copula")
    return phrase.kind in ("adv", "part")
