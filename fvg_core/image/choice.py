"""Which candidate becomes the anchor, when no person looks."""

from __future__ import annotations

import random

from ..errors import AnchorError

POLICIES = ("stop", "first", "seeded", "explicit")


def pick(count: int, policy: str, *, index: int = 0, seed: int = 0) -> int | None:
    """The chosen candidate of `count`, or None for 'stop'. Raises AnchorError for a bad index."""
    if policy == "stop":
        return None
    if policy == "first":
        return 0
    if policy == "seeded":
        return random.Random(seed).randrange(count)
    if policy != "explicit":
        raise AnchorError(f"unknown policy {policy!r}; use one of {', '.join(POLICIES)}.")
    if not 0 <= index < count:
        raise AnchorError(
            f"candidate {index} was asked for, but there are {count}; use 0 to {count - 1}."
        )
    return index
