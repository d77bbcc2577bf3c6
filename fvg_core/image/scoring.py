"""Scores of candidates: yes/no answers about the first frame, for each picture."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..errors import AnchorError, EmptyReplyError
from ..llm.base import LanguageModel, Message, Sampling

SYSTEM = (
    "You check pictures against a list. Look at the picture and answer the question with one "
    "word: yes or no. If you cannot see it clearly, answer no."
)
_ANSWER = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Score:
    """The answers for one candidate, in the order of the questions; None where there is none."""

    answers: tuple[bool | None, ...]

    @property
    def value(self) -> float:
        """Share of the answers that are yes, in [0, 1]; 0 without any."""
        return sum(answer is True for answer in self.answers) / max(1, len(self.answers))


def read_checklist(report: str) -> list[str]:
    """The questions of the rewriter's report. Raises AnchorError where there are none."""
    questions = [str(line["question"]) for line in _lines(report, "checklist", "question") or ()]
    if not questions:
        raise AnchorError(
            f"report holds no checklist ({report.strip()[:60]!r}); connect the output report of "
            "the First-Frame Prompt Rewriter."
        )
    return questions


def read_entities(report: str) -> list[dict[str, Any]]:
    """What the rewriter found in the prompt; nothing where it found nothing. Raises AnchorError
    for anything but the rewriter's report."""
    entities = _lines(report, "entities", "noun")
    if entities is None:
        raise AnchorError(
            f"report cannot be read ({report.strip()[:60]!r}); connect the output report of the "
            "First-Frame Prompt Rewriter."
        )
    return entities


def _lines(report: str, part: str, needed: str) -> list[dict[str, Any]] | None:
    """The entries of one list of a report that have the field `needed`; None without that list."""
    try:
        lines = json.loads(report)[part]
        return [line for line in lines if isinstance(line, dict) and needed in line]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def ask(
    model: LanguageModel,
    pictures: Sequence[Image.Image],
    questions: Sequence[str],
    tick: Callable[[], None] = lambda: None,
    *,
    spoke: bool = False,
) -> Iterator[Score]:
    """One score for each picture: a model that sees answers each question by itself.

    spoke: it has answered before. Raises AnchorError for a model that does not see,
    LanguageModelError for one that fails, or that says nothing at all about the first picture that
    it is ever asked about, as one that thinks.
    """
    if not model.sees:
        raise AnchorError(
            f"{model.name} does not see pictures. Use a vision-language model: Qwen3-VL or Gemma "
            "3 with its vision weights as a CLIP, or one behind the server (and say so in its "
            'configuration: "sees": true).'
        )
    sampling = Sampling(seed=0, max_tokens=16, temperature=0.0)
    for picture in pictures:
        answers, empty = [], None
        for question in questions:
            chat = [Message("system", SYSTEM), Message("user", question, images=(picture,))]
            try:
                answers.append(read_answer(model.reply(chat, sampling, tick)))
                spoke = True
            except EmptyReplyError as error:
                answers.append(None)
                empty = error
        if empty and not spoke:
            raise empty
        yield Score(tuple(answers))


def read_answer(reply: str) -> bool | None:
    """Whether a reply begins with yes or no; None for anything else."""
    found = _ANSWER.match(reply)
    return found[1].lower() == "yes" if found else None


def write_scores(
    backend: str, questions: Sequence[str], scores: Sequence[Score], note: str = ""
) -> str:
    """The JSON that the Anchor Picker takes. note: why there are no scores."""
    candidates = [{"score": round(s.value, 4), "answers": list(s.answers)} for s in scores]
    made = {"backend": backend, "checklist": list(questions), "candidates": candidates}
    return json.dumps(made | ({"note": note} if note else {}), indent=2, ensure_ascii=False)


def read_scores(text: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The questions and, for each candidate, its score in [0, 1] and answers; nothing of either
    where the scorer has none.

    Raises AnchorError for anything but what `write_scores` writes.
    """
    try:
        made = json.loads(text)
        questions = [str(question) for question in made["checklist"]]
        found = [
            {
                "score": float(c["score"]),
                "answers": [None if a is None else bool(a) for a in c["answers"]],
            }
            for c in made["candidates"]
        ]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        found = None
    if found is None or not all(0 <= c["score"] <= 1 for c in found):
        raise AnchorError(
            f"scores cannot be read ({text.strip()[:60]!r}); connect the output scores of an "
            "Anchor Scorer."
        )
    return questions, found
