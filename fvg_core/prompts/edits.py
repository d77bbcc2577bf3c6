"""First-frame prompts edited by hand: each belongs to the very rewrite that it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from ..errors import PromptError
from .prompt import MAX_WORDS
from .review import review_first_frame
from .types import Rewrite
from .wanted import read_wanted

LONGEST = 200_000  # characters of the widget


def edit_key(prompt: str, rewrite: Rewrite) -> str:
    """Names a rewrite: an edit with another name was made of another text."""
    text = f"{prompt}\0{rewrite.first_frame_prompt}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Edits:
    """The widget's text: empty, or a JSON object of edited texts by the names of rewrites."""

    def __init__(self, widget: str) -> None:
        self._texts = _read(widget)

    def applied(self, prompt: str, rewrite: Rewrite) -> Rewrite:
        """The rewrite with its edit, checked anew, if it has one."""
        text = self._texts.get(edit_key(prompt, rewrite), "").strip()
        if not text:
            return rewrite
        checks = review_first_frame(
            text,
            (),
            read_wanted(prompt),
            words=(1, MAX_WORDS),
            language=rewrite.report["language"],
        )
        told = {
            "checks": [vars(check) for check in checks],
            "note": "edited by hand",
            "written_by": "hand",
        }
        return replace(rewrite, first_frame_prompt=text, report=rewrite.report | told)


def _read(widget: str) -> Mapping[str, str]:
    if not widget.strip():
        return {}
    try:
        texts = json.loads(widget) if len(widget) <= LONGEST else None
    except (ValueError, RecursionError):
        texts = None
    sound = isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())
    if not sound:
        raise PromptError(
            f"'edited' holds {len(widget)} characters that are not the JSON object of texts that "
            "the node writes. Clear it, and edit the rewrite in the node."
        )
    return texts
