"""A language model writes, the checks judge, and what failed goes back to the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import EmptyReplyError, LanguageModelError, PromptError
from ..llm import LanguageModel, Message, Sampling
from .instructions import Instructions
from .reply import Draft, read_reply
from .review import review_first_frame, review_video
from .types import Attempt, Check, Entity, Options, Watch
from .wanted import Wanted, read_wanted

FIRST_FRAME = "first frame"
VIDEO = {  # task -> instruction file, bounds in words
    "upsampled": ("upsampled", (40, 200)),
    "motion only": ("motion_only", (3, 100)),  # at most 100: Wan 2.2's own image-to-video prompt
}
TOKENS_PER_WORD, SPARE_TOKENS = 4, 512  # room for other languages, and for the list of entities
LONGEST_BACK = 4000  # characters of a reply that are shown to the model again


class UselessRepliesError(PromptError):
    """No reply had a text. `attempts` tells what each had instead."""

    def __init__(self, message: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)


@dataclass(frozen=True)
class Written:
    """The best text of a task, with its checks; `attempts` tells of every reply, `note` why there
    are no more of them."""

    text: str
    entities: tuple[Entity, ...]
    checks: tuple[Check, ...]
    attempts: tuple[Attempt, ...]
    note: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


class Writer:
    """Writes the texts of one prompt with one model.

    The same model, instructions, prompt, options and seed give the same texts.
    """

    def __init__(
        self,
        model: LanguageModel,
        instructions: Instructions,
        options: Options,
        watch: Watch,
    ) -> None:
        self.model, self.instructions, self.options = model, instructions, options
        self.watch = watch

    def first_frame(
        self, prompt: str, seed: int, variation: int, earlier: Sequence[str]
    ) -> Written:
        """Version number `variation`, which has to differ from the `earlier` ones."""
        options, wanted = self.options, read_wanted(prompt)
        bounds = (options.min_words, options.max_words)

        def judge(draft: Draft) -> list[Check]:
            return review_first_frame(
                draft.text,
                draft.entities or (),
                wanted,
                words=bounds,
                language=options.language,
                earlier=earlier,
            )

        told = [
            self._instruction(name, bounds, self.instructions.variation(variation))
            for name in ("first_frame", "plain")
        ]
        return self._write(FIRST_FRAME, prompt, told, judge, wanted, seed, variation)

    def video(self, prompt: str, task: str, seed: int) -> Written:
        """A video prompt: task is "upsampled" or "motion only"."""
        name, bounds = VIDEO[task]
        wanted = read_wanted(prompt)

        def judge(draft: Draft) -> list[Check]:
            return review_video(
                draft.text, task, wanted, words=bounds, language=self.options.language
            )

        told = [self._instruction(name, bounds, "")]
        return self._write(task, prompt, told, judge, wanted, seed, 0)

    def _instruction(self, name: str, bounds: tuple[int, int], variation: str) -> str:
        return self.instructions.filled(
            name,
            {
                "style": self.instructions.style(self.options.style) or "as the prompt suggests",
                "language": self.options.language,
                "min_words": bounds[0],
                "max_words": bounds[1],
                "variation": f"In this version: {variation}" if variation else "",
            },
        )

    def _write(
        self,
        task: str,
        prompt: str,
        told: Sequence[str],
        judge: Callable[[Draft], list[Check]],
        wanted: Wanted,
        seed: int,
        variation: int,
    ) -> Written:
        """Ask up to `attempts` times. `told`: the instruction, and a plain one for models that
        cannot write JSON, which takes over after an empty or unreadable reply. A model that fails
        ends the asking, and is an error where no reply had a text."""
        ask = Message("user", f"<prompt>\n{prompt.strip()}\n</prompt>")
        tries: list[Attempt] = []
        best: Written | None = None
        back: list[Message] = []
        note = ""
        plain = len(told) == 1
        for number in range(self.options.attempts):
            system = Message("system", told[-1 if plain else 0])
            sampling = self._sampling(f"{seed} {variation} {task} {number}", structured=not plain)
            try:
                reply = self.model.reply([system, ask, *back], sampling, self.watch.tick)
            except EmptyReplyError as error:
                tries.append(Attempt(task, (Check("reply", False, str(error)),)))
                plain, back = True, []
                continue
            except LanguageModelError as error:
                if best is None:
                    raise
                note = f"after {len(tries)} of {self.options.attempts} attempts: {error}"
                break
            draft = read_reply(reply, structured=task == FIRST_FRAME)
            checks = judge(draft)
            if draft.problem:
                checks = [Check("format", False, draft.problem)]
            failed = tuple(check for check in checks if not check.passed)
            tries.append(Attempt(task, failed))
            entities = draft.entities or wanted.entities
            if draft.text and (best is None or len(failed) < _failed(best)):
                best = Written(draft.text, entities, tuple(checks), ())
            if not failed:
                break
            plain = plain or bool(draft.problem)
            back = [] if draft.problem else _feedback(reply, failed)
        if best is None:
            raise UselessRepliesError(
                f"{self.model.name} gave no usable {task} prompt in {len(tries)} attempts "
                f"({_reasons(tries[-1].failed)}). Choose a larger model, more attempts, or allow "
                "the rules as fallback.",
                tries,
            )
        return Written(best.text, best.entities, best.checks, tuple(tries), note)

    def _sampling(self, what: str, structured: bool) -> Sampling:
        seed = int.from_bytes(hashlib.sha256(what.encode()).digest()[:4], "big") >> 1
        words = max(self.options.max_words, *(bounds[1] for _, bounds in VIDEO.values()))
        tokens = TOKENS_PER_WORD * words + SPARE_TOKENS
        return Sampling(seed=seed, max_tokens=tokens, structured=structured)


def _failed(written: Written) -> int:
    return sum(not check.passed for check in written.checks)


def _reasons(failed: Sequence[Check]) -> str:
    return "; ".join(f"{check.name}: {check.detail}" for check in failed)


def _feedback(reply: str, failed: Sequence[Check]) -> list[Message]:
    """The model's own reply and what is wrong with it."""
    problems = "\n".join(f"- {check.name}: {check.detail}" for check in failed)
    return [
        Message("assistant", reply[:LONGEST_BACK]),
        Message(
            "user",
            f"Your answer was checked and these points failed:\n{problems}\n"
            "Write the whole answer again, in the same form, with these points put right.",
        ),
    ]
