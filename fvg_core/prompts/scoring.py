"""A suite, or bare prompts, through a backend: how much stays, how little leaks, what failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import FVGError
from .many import Rewriting, rewrite_many
from .suite import MEASURES, Case, judge, shares, wrong

TITLES = {
    "entities": "entity recall",
    "counts": "count accuracy",
    "attributes": "attribute accuracy",
    "relations": "relations kept",
    "initial": "initial states kept",
    "leaked": "leakage of later states",
}


@dataclass(frozen=True)
class Scored:
    """One prompt: what was made of it, or why nothing was."""

    case: Case
    text: str
    report: dict
    error: str = ""


def score(cases: Sequence[Case], how: Rewriting, seed: int = 0) -> tuple[list[Scored], float]:
    """Every case, with the model opened once; and the seconds all took together.

    Raises FVGError where the backend as a whole cannot be used.
    """
    start = time.perf_counter()
    if how.open_model is None:
        return [_one(case, how, seed) for case in cases], time.perf_counter() - start
    with how.open_model() as model:
        opened = _Opened(model)
        again = Rewriting(how.backend, lambda: opened, how.options, how.instructions, how.folder)
        scored = [_one(case, again, seed) for case in cases]
    return scored, time.perf_counter() - start


class _Opened:
    """A model that stays open."""

    def __init__(self, model) -> None:
        self.model = model

    def __enter__(self):
        return self.model

    def __exit__(self, *raised: object) -> None:
        return None


def _one(case: Case, how: Rewriting, seed: int) -> Scored:
    """A prompt that cannot be rewritten loses everything that it names, and leaks nothing."""
    try:
        ((made,),) = rewrite_many([case.prompt], [seed], how)
    except FVGError as error:
        return Scored(case, "", {}, str(error))
    return Scored(case, made.first_frame_prompt, made.report)


def summary(scored: Sequence[Scored]) -> dict:
    """Shares by half and by category, prompts whose checks all passed, and what failed."""
    halves = sorted({s.case.half for s in scored})
    categories = list(dict.fromkeys(s.case.category for s in scored))
    failed = Counter(
        check["name"] for s in scored for check in s.report.get("checks", ()) if not check["passed"]
    )
    return {
        "all": _shares(scored),
        **{f"half {half}": _shares(s for s in scored if s.case.half == half) for half in halves},
        **{name: _shares(s for s in scored if s.case.category == name) for name in categories},
        "failed_checks": dict(failed.most_common()),
        "errors": [f"{s.case.prompt}: {s.error}" for s in scored if s.error],
        "wrong": [line for s in scored for line in wrong(s.case, s.text)],
    }


def _shares(scored: Iterable[Scored]) -> dict:
    chosen = list(scored)
    passed = sum(
        bool(s.report) and all(check["passed"] for check in s.report["checks"]) for s in chosen
    )
    return {
        "prompts": len(chosen),
        **shares([judge(s.case, s.text) for s in chosen]),
        "all_checks_passed": passed / len(chosen),
    }


def table(found: dict) -> list[str]:
    """Markdown lines: one row for all, each half and each category."""
    rows = [name for name, value in found.items() if isinstance(value, dict) and "prompts" in value]
    lines = [
        "| | prompts | " + " | ".join(TITLES[m] for m in MEASURES) + " | all checks passed |",
        "| --- |" + " --- |" * (len(MEASURES) + 2),
    ]
    for row in rows:
        values = [found[row][m] for m in (*MEASURES, "all_checks_passed")]
        cells = ["" if v is None else f"{v:.3f}" for v in values]
        lines.append(f"| {row} | {found[row]['prompts']} | {' | '.join(cells)} |")
    failed = ", ".join(f"{name} {count}" for name, count in found["failed_checks"].items())
    lines += ["", f"Own checks that failed: {failed or 'none'}."]
    return lines + [f"Not rewritten: {error}" for error in found["errors"]]
