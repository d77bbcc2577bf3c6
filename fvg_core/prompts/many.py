"""A list of prompts through one backend: the model is opened once, the rules may stand in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import DataError, FVGError, PromptError
from ..llm import LanguageModel
from .checklist import checklist
from .instructions import Instructions
from .keep import Kept
from .prompt import require_prompt
from .rules import RulesRewriter
from .types import VIDEO_PROMPTS, Options, Report, Rewrite, Watch
from .writer import UselessRepliesError, Writer, Written

LONGEST_LANGUAGE = 40  # characters
NONE_PASSED = "no reply passed every check"
MOST_WORDS, MOST_ATTEMPTS, MOST_VARIATIONS = 500, 10, 64


@dataclass(frozen=True)
class Rewriting:
    """How a list of prompts is rewritten. `open_model` is None for the rules; results of a model
    are kept in `folder`, if there is one. `key` is the model's, where it is known before opening:
    then it is not opened for a list that is kept whole."""

    backend: str = "rules"
    open_model: Callable[[], AbstractContextManager[LanguageModel]] | None = None
    options: Options = field(default_factory=Options)
    instructions: Instructions = field(default_factory=Instructions)
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)
    key: str = ""


def rewrite_many(
    prompts: Sequence[str], seeds: Sequence[int], how: Rewriting
) -> list[list[Rewrite]]:
    """For each prompt, with its seed, as many versions as the options say.

    Raises PromptError for what cannot be rewritten, and what the backend raises unless the rules
    may stand in for it.
    """
    for prompt in prompts:
        require_prompt(prompt)
    _check(how)
    job = _Job(how, len(prompts) * how.options.variations)
    asked = list(zip(prompts, seeds, strict=True))
    if how.open_model is None:
        return [job.by_rules(prompt, seed) for prompt, seed in asked]
    if how.key and (found := job.all_kept(asked)):
        return found
    try:
        with how.open_model() as model:
            job.use(model)
            return [job.by_model(prompt, seed) for prompt, seed in asked]
    except FVGError as error:
        if job.model is not None or not how.options.rules_as_fallback:
            raise
        note = f"the rules stood in for the model: {error}"
        return [job.by_rules(prompt, seed, note) for prompt, seed in asked]


def _check(how: Rewriting) -> None:
    options = how.options
    how.instructions.style(options.style)
    language = options.language.strip()
    if not 0 < len(language) <= LONGEST_LANGUAGE or not language.isprintable():
        raise PromptError(
            f"the language is {options.language[:60]!r}. Write its name in 1 to "
            f"{LONGEST_LANGUAGE} letters, such as English."
        )
    if not 1 <= options.min_words <= options.max_words <= MOST_WORDS:
        raise PromptError(
            f"the length is {options.min_words} to {options.max_words} words. The first number "
            f"must not be greater than the second; 1 to {MOST_WORDS} are possible."
        )
    for name, most in (("attempts", MOST_ATTEMPTS), ("variations", MOST_VARIATIONS)):
        if not 1 <= getattr(options, name) <= most:
            raise PromptError(f"{name} is {getattr(options, name)}; 1 to {most} are possible.")
    if options.video_prompt not in VIDEO_PROMPTS:
        raise PromptError(
            f"video_prompt is {options.video_prompt!r}; choose one of {', '.join(VIDEO_PROMPTS)}."
        )
    if how.open_model is None and options.video_prompt != "original":
        raise PromptError(
            f"the rules cannot write a video prompt that is {options.video_prompt!r}. Choose "
            "'original', or a backend with a language model."
        )


class _Job:
    """One call of `rewrite_many`."""

    def __init__(self, how: Rewriting, total: int) -> None:
        self.how, self.options = how, how.options
        self.model: LanguageModel | None = None
        self._done, self._total = 0, total

    def use(self, model: LanguageModel) -> None:
        how = self.how
        self.model = model
        self.writer = Writer(model, how.instructions, self.options, how.watch)
        self.kept = self._kept_of(model.key)

    def _kept_of(self, key: str) -> Kept | None:
        how = self.how
        return how.folder and Kept(how.folder, key, how.instructions, self.options)

    def all_kept(self, asked: Sequence[tuple[str, int]]) -> list[list[Rewrite]] | None:
        """Every version of every prompt as it is kept; None where one is not."""
        kept, found = self._kept_of(self.how.key), []
        for prompt, seed in asked:
            versions: list[Rewrite] = []
            for variation in range(self.options.variations):
                earlier = [rewrite.first_frame_prompt for rewrite in versions]
                known = kept and kept.read(prompt, seed, variation, earlier)
                if not known:
                    return None
                versions.append(known)
            found.append(versions)
        return found

    def _step(self) -> None:
        self._done += 1
        self.how.watch.tick()
        self.how.watch.step(self._done, self._total)

    def by_rules(self, prompt: str, seed: int, note: str = "") -> list[Rewrite]:
        made = []
        for variation in range(self.options.variations):
            made.append(self._one_by_rules(prompt, seed, variation, note))
            self._step()
        return made

    def by_model(self, prompt: str, seed: int) -> list[Rewrite]:
        made: list[Rewrite] = []
        for variation in range(self.options.variations):
            earlier = [rewrite.first_frame_prompt for rewrite in made]
            made.append(self._one_by_model(prompt, seed, variation, earlier))
            self._step()
        return made

    def _one_by_rules(self, prompt: str, seed: int, variation: int, note: str) -> Rewrite:
        """The rules' text, with a sentence of the style and of the version behind it."""
        options, instructions = self.options, self.how.instructions
        plain = RulesRewriter().rewrite(prompt, seed + variation)
        extra = (instructions.variation(variation), instructions.style(options.style))
        ours = {
            "backend": self.how.backend,
            "seed": seed,
            "variation": variation,
            "style": options.style,
            "note": note,
        }
        text = " ".join(filter(None, (plain.first_frame_prompt, *extra)))
        return Rewrite(text, prompt, plain.report | ours)

    def _one_by_model(self, prompt: str, seed: int, variation: int, earlier: list[str]) -> Rewrite:
        if self.kept and (known := self.kept.read(prompt, seed, variation, earlier)):
            return known
        start = time.perf_counter()
        try:
            frame = self.writer.first_frame(prompt, seed, variation, earlier)
            if not frame.passed and self.options.rules_as_fallback:
                raise UselessRepliesError(frame.note or NONE_PASSED, frame.attempts)
        except FVGError as error:
            if not self.options.rules_as_fallback:
                raise
            return self._instead(prompt, seed, variation, error, start)
        video, note = self._video(prompt, seed)
        note = "; ".join(filter(None, (frame.note, note)))
        made = self._written(prompt, seed, variation, frame, video, note, start)
        return made if note else self._keep(prompt, seed, variation, earlier, made)

    def _instead(
        self, prompt: str, seed: int, variation: int, error: FVGError, start: float
    ) -> Rewrite:
        """The rules' text in place of the model's; the video prompt is the original then."""
        note = f"the rules stood in for the model: {error}"
        instead = self._one_by_rules(prompt, seed, variation, note)
        told = {
            "model": self.model.name,
            "attempts": [asdict(attempt) for attempt in getattr(error, "attempts", ())],
            "seconds": time.perf_counter() - start,
        }
        return replace(instead, report=instead.report | told)

    def _video(self, prompt: str, seed: int) -> tuple[Written | None, str]:
        """The video prompt, None for the original; and what the user should know of it."""
        task, fallback = self.options.video_prompt, self.options.rules_as_fallback
        if task == "original":
            return None, ""
        try:
            written = self.writer.video(prompt, task, seed)
        except FVGError as error:
            if not fallback:
                raise
            return None, f"the video prompt is the original: {error}"
        if fallback and not written.passed:
            return None, f"the video prompt is the original: {written.note or NONE_PASSED}"
        return written, written.note

    def _written(
        self,
        prompt: str,
        seed: int,
        variation: int,
        frame: Written,
        video: Written | None,
        note: str,
        start: float,
    ) -> Rewrite:
        options = self.options
        passed = frame.passed and (video is None or video.passed)
        report = Report(
            prompt=prompt,
            backend=self.how.backend,
            written_by=self.how.backend,
            model=self.model.name,
            seed=seed,
            variation=variation,
            style=options.style,
            language=options.language,
            entities=frame.entities,
            removed=[],
            added=[],
            checks=frame.checks,
            video_checks=video.checks if video else (),
            checklist=tuple(checklist(frame.entities, frame.text)),
            attempts=frame.attempts + (video.attempts if video else ()),
            note=note or ("" if passed else f"{NONE_PASSED}; this is the best of them"),
            seconds=time.perf_counter() - start,
        )
        return Rewrite(frame.text, video.text if video else prompt, asdict(report))

    def _keep(
        self, prompt: str, seed: int, variation: int, earlier: list[str], made: Rewrite
    ) -> Rewrite:
        """A full disk does not cost the text that was just written; the report says it."""
        if self.kept:
            try:
                self.kept.write(prompt, seed, variation, earlier, made)
            except DataError as error:
                note = "; ".join(filter(None, (made.report["note"], f"not kept: {error}")))
                return replace(made, report=made.report | {"note": note})
        return made
