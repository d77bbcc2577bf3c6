"""A batch in phases, so that each model is loaded once: all rewrites, all anchors, all videos.

What an early phase makes stays on the server's disk, where the whole graph finds it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .given import GENERATOR, PICKER, REWRITER
from .graph import upstream
from .results import Prompt
from .store import finished_lines
from .template import Template, Work, work_key

ANCHORS = "anchors"
TEXT = " text"  # ends the number of a node that shows a rewriter's texts


def ends_at_rewriter(work: Work) -> Work | None:
    """The part of a work that has a language model write; None where the rules do it, at once."""
    prompt: Prompt = {}
    for number, node in work.prompt.items():
        if node["class_type"] == REWRITER and node["inputs"].get("backend") != "rules":
            prompt |= {n: work.prompt[n] for n in upstream(work.prompt, number)}
            source = {"source": [number, 0]}
            prompt[number + TEXT] = {"class_type": "PreviewAny", "inputs": source}
    return _part(work, prompt) if prompt else None


def ends_at_picker(work: Work) -> Work | None:
    """The part of a work that draws the candidates; None for a graph that draws none.

    A preview stands where the picker was, because every graph needs an output.
    """
    prompt: Prompt = {}
    for number, node in work.prompt.items():
        shown = node["inputs"].get("images")
        if node["class_type"] == PICKER and isinstance(shown, list):
            prompt |= {n: work.prompt[n] for n in upstream(work.prompt, shown[0])}
            prompt[number] = {"class_type": "PreviewImage", "inputs": {"images": shown}}
    drawn = any(node["class_type"] == GENERATOR for node in prompt.values())
    return _part(work, prompt) if drawn else None


def _part(work: Work, prompt: Prompt) -> Work:
    return replace(work, key=work_key(prompt), prompt=prompt, entry=replace(work.entry, targets=()))


@dataclass(frozen=True)
class Phase:
    """`part` of every work goes into `folder` below the batch's own; None where a work has none.

    `has` says whether a template has this phase at all.
    """

    name: str
    folder: str
    part: Callable[[Work], Work | None]
    has: Callable[[Template], bool]


REWRITES = Phase("rewrites", "rewrites", ends_at_rewriter, lambda template: template.asks)
DRAWINGS = Phase(ANCHORS, ANCHORS, ends_at_picker, lambda template: template.draws)
VIDEOS = Phase("videos", "", lambda work: work, lambda template: True)
PHASES = (REWRITES, DRAWINGS, VIDEOS)


def earlier_parts(phase: Phase, work: Work) -> Iterator[Work]:
    """The parts of `work` that earlier phases do, the latest first."""
    for earlier in PHASES[: PHASES.index(phase)][::-1]:
        if part := earlier.part(work):
            yield part


def homes(out: Path, phase: Phase) -> Callable[[Work], str | None]:
    """Which server has on its disk what a work of `phase` starts from, as the manifests of the
    earlier phases in the batch `out` say."""
    places: dict[str, str] = {}
    for each in PHASES[: PHASES.index(phase)]:
        lines = finished_lines(out / each.folder / "manifest.jsonl")
        places |= {line["key"]: str(line.get("server")) for line in lines}
    if len(set(places.values())) < 2:
        return lambda work: None

    def home(work: Work) -> str | None:
        parts = earlier_parts(phase, work)
        return next((places[part.key] for part in parts if part.key in places), None)

    return home
