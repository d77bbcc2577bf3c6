"""A language model's reply, read: a JSON object of known shape, or plain text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

from .lexicon import lexicon
from .types import Entity

LONGEST = 20_000  # characters of a reply that are read
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_LABEL = re.compile(r"^(?:here (?:is|are)\b[^:\n]*|[\w -]*(?:description|prompt|frame)):\s*", re.I)


def _count(value: object) -> object:
    """ "two", "2" and null as numbers; what is no number stays, and fails."""
    if value is None:
        return 0
    if isinstance(value, str):
        word = value.strip().lower()
        return lexicon().numbers.get(word, 1 if word in ("a", "an") else value)
    return value


def _list(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _position(value: object) -> object:
    return None if value in ("", "null", "none", "None") else value


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ReplyEntity(BaseModel):
    """An entity as the model lists it."""

    noun: Word
    count: Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_count)] = 0
    attributes: Annotated[list[Word], Field(max_length=32), BeforeValidator(_list)] = []
    position: Annotated[str | None, Field(max_length=300), BeforeValidator(_position)] = None


class Reply(BaseModel):
    """The whole structured reply."""

    entities: list[ReplyEntity] = Field(max_length=64)
    text: str = Field(min_length=1, max_length=LONGEST)


@dataclass(frozen=True)
class Draft:
    """What a reply offers. `entities` is None for plain text; `problem` if it cannot be read."""

    text: str
    entities: tuple[Entity, ...] | None = None
    problem: str = ""


def read_reply(reply: str, structured: bool) -> Draft:
    """Find the JSON object, also in a code fence or between sentences; text without one is taken
    as plain text."""
    reply = reply[:LONGEST].strip()
    if not structured or "{" not in reply:
        return Draft(plain_text(reply))
    problem = "the reply holds no JSON object that can be read"
    for value in _objects(reply):
        try:
            parsed = Reply.model_validate(value)
        except ValidationError as error:
            problem = _why(error)
        else:
            return Draft(parsed.text.strip(), tuple(_entity(e) for e in parsed.entities))
    return Draft("", problem=problem)


def plain_text(reply: str) -> str:
    """Without the wrapping that models like: code fences, labels, quotation marks."""
    text = _FENCE.sub("", reply.strip()).strip()
    text = _LABEL.sub("", text.replace("**", "")).strip()
    for left, right in ('""', "“”", "''"):
        if len(text) > 1 and text[0] == left and text[-1] == right:
            text = text[1:-1].strip()
    return text


def _objects(reply: str) -> list[dict]:
    """Every JSON object that starts at one of the first braces and is in no other."""
    decoder, found, at = json.JSONDecoder(strict=False), [], 0
    for _ in range(100):
        at = reply.find("{", at)
        if at < 0:
            break
        try:
            value, at = decoder.raw_decode(reply, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            found.append(value)
    return found


def _entity(entity: ReplyEntity) -> Entity:
    noun = _bare(entity.noun)
    text = " ".join([*entity.attributes, noun])
    return Entity(text, noun, entity.count, tuple(entity.attributes), entity.position)


def _bare(noun: str) -> str:
    """Without "two" or "the": the number has its own field."""
    words, lex = noun.split(), lexicon()
    while len(words) > 1 and (words[0].lower() in lex.numbers or words[0] in lex["determiner"]):
        words.pop(0)
    return " ".join(words)


def _why(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the object'}: {first['msg']}"
