"""`python -m fvg_core rewrite`: first-frame prompts of a file, or a backend's score on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..errors import PromptError
from ..llm import open_folder, open_server, read_config
from .many import Rewriting
from .scoring import Scored, score, summary, table
from .suite import OWN, read_suite


def run(
    file: Path | None,
    suite: bool,
    backend: str,
    model: Path | None,
    precision: str,
    server: Path,
    seed: int,
    wrong: bool,
) -> None:
    """Print it. Raises FVGError."""
    cases = read_suite(file or OWN)
    scored, seconds = score(cases, rewriting(backend, model, precision, server), seed)
    if not suite:
        for each in scored:
            print(each.text or f"# {each.error}")
        return
    print(headline(backend, scored, seconds))
    found = summary(scored)
    print("\n".join(["", *table(found), *(["", *found["wrong"]] if wrong else [])]))


def rewriting(backend: str, model: Path | None, precision: str, server: Path) -> Rewriting:
    """A backend outside of ComfyUI; clip is only there."""
    if backend == "rules":
        return Rewriting()
    if backend == "server":
        return Rewriting(backend, lambda: open_server(read_config(server)))
    if backend != "transformers":
        raise PromptError(
            f"the backend is {backend!r}; rules, transformers and server work outside of ComfyUI."
        )
    if model is None:
        raise PromptError("which model? Give its folder: --model models/LLM/<folder>")
    return Rewriting(backend, partial(open_folder, model, precision))


def headline(backend: str, scored: Sequence[Scored], seconds: float) -> str:
    names = {s.report["model"] for s in scored if s.report.get("model")}
    who = f"{backend} ({', '.join(sorted(names))})" if names else backend
    return f"{who}: {len(scored)} prompts in {seconds:.1f} s"
