"""Prompt rewriting: from a video prompt to the description of its first frame (paper, 4.2)."""

from collections.abc import Callable

from ..errors import PromptError
from .rules import RulesRewriter
from .types import Entity, Rewrite, Rewriter

__all__ = ["BACKENDS", "MAX_WORDS", "Entity", "Rewrite", "Rewriter", "rewrite"]

MAX_WORDS = 2000

BACKENDS: dict[str, Callable[[], Rewriter]] = {"rules": RulesRewriter}


def rewrite(prompt: str, backend: str = "rules", seed: int = 0) -> Rewrite:
    """Rewrite `prompt` with the named backend; raise PromptError for what cannot be rewritten."""
    if backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise PromptError(f"Unknown rewriting backend {backend!r}. Choose one of: {known}.")
    _require_prompt(prompt)
    return BACKENDS[backend]().rewrite(prompt, seed)


def _require_prompt(prompt: str) -> None:
    if not isinstance(prompt, str):
        raise PromptError(
            f"The prompt is a {type(prompt).__name__}, not text. Pass one string per video."
        )
    words = len(prompt.split())
    if words == 0:
        raise PromptError("The prompt is empty. Describe the video in at least one word.")
    if words > MAX_WORDS:
        raise PromptError(
            f"The prompt has {words} words; at most {MAX_WORDS} are accepted. "
            "Shorten it to the description of one video."
        )
