"""Prompt rewriting: from a video prompt to the description of its first frame (paper, 4.2)."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import PromptError
from .edits import Edits, edit_key
from .instructions import NO_STYLE, Instructions
from .many import Rewriting, rewrite_many
from .prompt import MAX_WORDS, require_prompt
from .rules import RulesRewriter
from .types import VIDEO_PROMPTS, Entity, Options, Report, Rewrite, Rewriter, Watch

__all__ = [
    "BACKENDS",
    "MAX_WORDS",
    "MODEL_BACKENDS",
    "NO_STYLE",
    "VIDEO_PROMPTS",
    "Edits",
    "Entity",
    "Instructions",
    "Options",
    "Report",
    "Rewrite",
    "Rewriter",
    "Rewriting",
    "Watch",
    "edit_key",
    "rewrite",
    "rewrite_many",
]

BACKENDS: dict[str, Callable[[], Rewriter]] = {"rules": RulesRewriter}
MODEL_BACKENDS = ("clip", "transformers", "server")  # language models, opened by the caller


def rewrite(prompt: str, backend: str = "rules", seed: int = 0) -> Rewrite:
    """Rewrite `prompt` without a language model; PromptError for what cannot be rewritten."""
    if backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise PromptError(f"Unknown rewriting backend {backend!r}. Choose one of: {known}.")
    require_prompt(prompt)
    return BACKENDS[backend]().rewrite(prompt, seed)
