"""A prompt as the exact scorer of the tiny world understands it."""

from __future__ import annotations

from ..errors import PromptError
from ..prompts.tiny_world import read_prompt
from ..tiny.words import COLORS, MOST, SHAPES, Prompt

_KNOWN = (
    f"up to {MOST} objects ({'/'.join(COLORS)} {'/'.join(SHAPES)}), each kind in a colour of its "
    "own, that move, act, change, meet, stand beside each other or are counted"
)


def judged_prompt(prompt: str) -> Prompt:
    """The prompt, where videos of it can be judged exactly.

    Raises PromptError for anything beyond the tiny world.
    """
    reading = read_prompt(prompt)
    if reading is None:
        raise PromptError(
            f"{prompt[:80]!r} cannot be judged exactly: the scorer knows {_KNOWN}. For example: "
            '"a red ball moves right and a blue square stays still".'
        )
    return reading.prompt
