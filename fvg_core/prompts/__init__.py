"""Prompt rewriting: from a video prompt to the description of its first frame (paper, 4.2)."""

from __future__ import annotations

from .edits import Edits, edit_key
from .instructions import NO_STYLE, Instructions
from .many import Rewriting, rewrite_many
from .prompt import MAX_WORDS, require_prompt
from .rules import RulesRewriter
from .types import VIDEO_PROMPTS, Options, Rewrite, Watch

__all__ = [
    "MAX_WORDS",
    "MODEL_BACKENDS",
    "NO_STYLE",
    "RULES",
    "VIDEO_PROMPTS",
    "Edits",
    "Instructions",
    "Options",
    "Rewrite",
    "Rewriting",
    "Watch",
    "edit_key",
    "rewrite",
    "rewrite_many",
]

RULES = "rules"
MODEL_BACKENDS = ("clip", "transformers", "server")  # language models, opened by the caller


def rewrite(prompt: str, seed: int = 0) -> Rewrite:
    """Rewrite `prompt` without a language model; PromptError for what cannot be rewritten."""
    require_prompt(prompt)
    return RulesRewriter().rewrite(prompt, seed)
