"""What counts as a prompt."""

from __future__ import annotations

from ..errors import PromptError

MAX_WORDS = 2000


def require_prompt(prompt: str) -> None:
    """Raise PromptError for what is no text, empty, or too long."""
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
