"""One seed for each candidate."""

from __future__ import annotations

from ..errors import AnchorError

_SEEDS = 2**64


def candidate_seeds(seed: int, count: int, own: str = "") -> list[int]:
    """`count` seeds that count up from `seed`, except where `own` names another.

    `own`: seeds of the candidates in order, separated by commas. An entry may be left empty, and
    the last ones left out. Raises AnchorError for anything else.
    """
    entries = [entry.strip() for entry in own.split(",")] if own.strip() else []
    if len(entries) > count:
        raise AnchorError(
            f"seeds names {len(entries)} candidates and candidates is {count}. Delete the last "
            f"entries of seeds, or set candidates to {len(entries)}."
        )
    entries += [""] * (count - len(entries))
    return [_own(e) if e else (seed + i) % _SEEDS for i, e in enumerate(entries)]


def _own(entry: str) -> int:
    # isdecimal takes digits of every script, as int() does, but no signs and underscores.
    if not (entry.isdecimal() and len(entry) <= 20 and int(entry) < _SEEDS):
        raise AnchorError(
            f"seeds holds {entry[:40]!r}; each entry is a whole number from 0 to 2^64 - 1, or "
            "empty. Write them with commas between them, for example: 7, 8, 912, 10."
        )
    return int(entry)
