"""Figures from what a trainer's stopwatch wrote: the time of its steps, and its memory."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import ratios, summarise
from benchmarks.training_graphs import HOST_STEPWISE, HOST_STEPWISE_BYPASS, OURS, OURS_STEPWISE
from fvg_core.errors import HostError

Record = dict[str, Any]
_SAME_MEMORY = dict.fromkeys((HOST_STEPWISE, HOST_STEPWISE_BYPASS), OURS_STEPWISE)
_WARM = 1  # steps after the first one that are not counted either


def step_times(record: Record, clock: str, updates: int = 1) -> list[float]:
    """Seconds of every step but the first ones, by "wall" or "cpu"; `updates`: how often the
    progress bar advances in a step. Raises HostError if too little was recorded."""
    stamps = record["stamps"]
    if [s["value"] for s in stamps] != list(range(1, len(stamps) + 1)) or len(stamps) % updates:
        raise HostError(
            f"A trainer's progress bar advanced {len(stamps)} times, to "
            f"{[s['value'] for s in stamps][-3:]} at last; it must be {updates} times a step, by "
            "one. Does the host report its progress otherwise now?"
        )
    ends = [s[clock] for s in stamps[updates - 1 :: updates]]
    times = [b - a for a, b in itertools.pairwise(ends)]
    if len(times) <= _WARM:
        raise HostError(f"{len(ends)} steps are too few to time; train {_WARM + 2} or more.")
    return times[_WARM:]


def clock_of(record: Record) -> str:
    """On a CPU the process's own time, which other programs do not lengthen."""
    return "cpu" if record["device"] == "cpu" else "wall"


def evaluate(
    records: Mapping[str, Sequence[Record]], updates: Mapping[str, int], batch: int
) -> dict[str, Any]:
    """Samples a second of every side, and how ours compares in time and memory.

    records: of each side, one for each round. The memory of a side that takes samples one by one
    is compared to ours doing the same.
    """
    first = records[OURS][0]
    clock = clock_of(first)
    medians = {
        side: {
            kind: [statistics.median(step_times(r, kind, updates[side])) for r in rounds]
            for kind in ("wall", "cpu")
        }
        for side, rounds in records.items()
    }
    sides = {}
    for side, rounds in records.items():
        times, ours = medians[side], medians[OURS]
        sides[side] = {
            "samples_per_s": asdict(summarise([batch / t for t in times["wall"]])),
            "step_ms": asdict(summarise([1000 * t for t in times[clock]])),
            "ours_faster": asdict(ratios(times[clock], ours[clock])),
            "ours_faster_wall": asdict(ratios(times["wall"], ours["wall"])),
            **_memory(rounds, records[_SAME_MEMORY.get(side, OURS)]),
        }
    return {"device": first["device"], "torch_threads": first["torch_threads"], "sides": sides}


def _memory(rounds: Sequence[Record], ours: Sequence[Record]) -> dict[str, Any]:
    """MB at most beyond what was in use before training, in the first round of a fresh process:
    `loading` until the first step is done, `steps` from then on. None where nobody knows."""
    first, reference = rounds[0]["memory"], ours[0]["memory"]
    if None in first.values():
        return {"memory_mb": None, "memory_of_ours": None}
    most, own = _most(first), _most(reference)
    mb = {kind: round((first[kind] - first["before"]) / 1e6, 1) for kind in ("loading", "steps")}
    mb["before"] = round(first["before"] / 1e6, 1)
    return {"memory_mb": mb, "memory_of_ours": round(own / most, 3)}


def _most(memory: Mapping[str, int]) -> int:
    return max(memory["loading"], memory["steps"]) - memory["before"]


def in_pairs(records: Mapping[str, Sequence[Record]], batch: int) -> dict[str, Any]:
    """A step from the cache and with its samples encoded anew, and what a sample's encoding
    takes, in milliseconds."""
    clock = clock_of(records["cached"][0])
    cached, anew = (
        [statistics.median(step_times(r, clock)) for r in records[kind]]
        for kind in ("cached", "encoded anew")
    )
    differences = [1000 * (a - c) / batch for a, c in zip(anew, cached, strict=True)]
    return {
        "cached_ms": asdict(summarise([1000 * t for t in cached])),
        "anew_ms": asdict(summarise([1000 * t for t in anew])),
        "encoding_a_sample_ms": asdict(summarise(differences)),
        "anew_over_cached": asdict(ratios(anew, cached)),
    }


def events(
    record: Record, checkpoint_every: int, validate_every: int, default_every: int
) -> dict[str, Any]:
    """Milliseconds that checkpoints and validations add to the steps they fall into, and what
    they add to training with one of each in `default_every` steps, as a share of its time."""
    clock = clock_of(record)
    times = step_times(record, clock)
    by_kind: dict[tuple[bool, bool], list[float]] = {}
    for step, seconds in enumerate(times, 2 + _WARM):
        kind = step % checkpoint_every == 0, step % validate_every == 0
        by_kind.setdefault(kind, []).append(seconds)
    plain = statistics.median(by_kind[False, False])
    checkpoint, validation = (
        [1000 * (t - plain) for t in by_kind[kind]] for kind in ((True, False), (False, True))
    )
    both = statistics.median(checkpoint) + statistics.median(validation)
    return {
        "step_ms": asdict(summarise([1000 * t for t in by_kind[False, False]])),
        "checkpoint_ms": asdict(summarise(checkpoint)),
        "validation_ms": asdict(summarise(validation)),
        "share_by_default": both / (1000 * plain * default_every),
    }
