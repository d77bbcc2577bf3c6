"""Which candidates become anchors: a person's choice, or a rule where nobody looks."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from ..errors import AnchorError

POLICIES = ("stop", "first", "seeded", "explicit", "best score")
Picked = tuple[int, ...]

_ENTRY = re.compile(r"([0-9a-f]{8,64}): ?([0-9]{1,4}(?:, ?[0-9]{1,4})*)")


def pick(
    count: int,
    policy: str,
    *,
    index: int = 0,
    seed: int = 0,
    scores: Sequence[float] | None = None,
) -> Picked | None:
    """The candidates of `count` that a rule picks, or None for 'stop'.

    scores: for 'best score' one for each candidate, the first of equals wins; or none, where a
    scorer had none to give: then the first candidate. Raises AnchorError.
    """
    if policy == "stop":
        return None
    if policy == "first":
        return (0,)
    if policy == "seeded":
        return (random.Random(seed).randrange(count),)
    if policy == "explicit":
        return checked((index,), count)
    if policy == "best score":
        return (_best(count, scores),)
    raise AnchorError(f"unknown policy {policy!r}; use one of {', '.join(POLICIES)}.")


def _best(count: int, scores: Sequence[float] | None) -> int:
    if scores is None:
        raise AnchorError(
            "'best score' needs scores; connect an Anchor Scorer to the input scores, or choose "
            "another policy."
        )
    return max(range(count), key=lambda i: scores[i]) if scores else 0


def checked(picked: Sequence[int], count: int) -> Picked:
    """The picked candidates, each once. Raises AnchorError for one that does not exist."""
    for index in picked:
        if not 0 <= index < count:
            raise AnchorError(
                f"candidate {index} was asked for, but there are {count}; use 0 to {count - 1}."
            )
    return tuple(dict.fromkeys(picked))


def read_choices(text: str) -> dict[str, Picked]:
    """Choices by the key of their candidates, from "<key>: 2; <key>: 0, 3".

    What is not such an entry is nobody's choice and is left out.
    """
    found = (_ENTRY.fullmatch(part.strip()) for part in text.split(";"))
    return {
        entry[1]: tuple(dict.fromkeys(map(int, entry[2].split(",")))) for entry in found if entry
    }


def write_choices(choices: Mapping[str, Sequence[int]]) -> str:
    """What `read_choices` reads."""
    return "; ".join(f"{key}: {', '.join(map(str, picked))}" for key, picked in choices.items())
