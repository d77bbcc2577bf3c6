"""The backend without a language model: grammar, word lists and a small tagger."""

import time
from dataclasses import asdict

from ..errors import PromptError
from .checklist import checklist
from .checks import check
from .first_frame import SceneWriter
from .instructions import NO_STYLE
from .phrases import NounPhrase, Phrase, read_phrases
from .scene import POISES, FirstFrame
from .tagger import tag
from .tokens import tokenise
from .types import Check, Report, Rewrite


class RulesRewriter:
    name = "rules"

    def rewrite(self, prompt: str, seed: int) -> Rewrite:
        """Raise PromptError where the prompt names nothing that an image could show."""
        from .tiny_world import read_prompt  # not when the host starts

        start = time.perf_counter()
        phrases = read_phrases(tag(tokenise(prompt)))
        if tiny := read_prompt(prompt):
            output, entities = tiny.first_frame, tiny.entities()
            removed, added = list(tiny.events), tiny.added
            things = {word for noun in tiny.nouns for word in noun.split()}
            nouns = [part for p in phrases if isinstance(p, NounPhrase) for part in p.all]
            dropped = [noun for noun in nouns if noun.head not in things]  # "wanders a little"
        else:
            frame = read_frame(prompt, phrases)
            output = frame.text(POISES[seed % len(POISES)])
            entities, removed, added = frame.described(), frame.removed, frame.added
            dropped = frame.dropped
        report = Report(
            prompt=prompt,
            backend=self.name,
            written_by=self.name,
            model="",
            seed=seed,
            variation=0,
            style=NO_STYLE,
            language="English",
            entities=tuple(entities),
            removed=removed,
            added=added,
            checks=tuple(Check(**verdict) for verdict in check(phrases, output, dropped)),
            video_checks=(),
            checklist=tuple(checklist(entities, output)),
            attempts=(),
            note="",
            seconds=time.perf_counter() - start,
        )
        return Rewrite(output, prompt, asdict(report))


def read_frame(prompt: str, phrases: list[Phrase]) -> FirstFrame:
    frame = SceneWriter().read(phrases)
    if any(item.text() for item in frame.items):
        return frame
    named = [p for p in phrases if isinstance(p, NounPhrase)]
    nouns = [p for p in named if not p.camera] or [p for p in named if p.determiner != "the"][:1]
    if not nouns:
        raise PromptError(
            f"The prompt {prompt[:60]!r} names nothing that a first frame could show. "
            "Name at least one person, thing or place."
        )
    shown = FirstFrame(removed=frame.removed)  # only later things are named: show them
    for np in nouns:
        shown.start_subject(np)
    return shown
