"""From a folder of clips to a dataset, with a report of what was used and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..backbones import BackboneSpec
from ..errors import DataError
from ..files import write_whole
from .buckets import Plan, Sample, Target, check_target, frames_at, plan
from .cache import EncodeText, EncodeVideo, build_cache
from .dataset import CachedDataset
from .memo import Memo
from .scan import Listing, Rejected, scanning

REPORT = "report.txt"
_SHOWN = 100  # files left out that a report names before it points to the file


@dataclass(frozen=True)
class Prepared:
    dataset: CachedDataset
    report: str


@dataclass(frozen=True)
class Step:
    """`done` of `total` of what is being done; `prepared` comes with the last step."""

    done: int
    total: int
    prepared: Prepared | None = None


def prepare(
    source: Path,
    cache: Path,
    target: Target,
    spec: BackboneSpec,
    *,
    encode_video: EncodeVideo,
    encode_text: EncodeText,
    key: str,
) -> Iterator[Step]:
    """Read the clips of `source` and encode them into `cache`, one clip or text for each step.

    Raises SizeError for a target the VAE cannot hold, and DataError if no clip can be used or
    nothing can be written.
    """
    check_target(target, spec)
    listing = yield from _scanned(source, cache)
    chosen = plan(listing, target, spec)
    if not chosen.samples:
        raise DataError(f"no clip in {source} can be used:\n{_lines(chosen.rejected, None)}")
    rejected, encoded = list(chosen.rejected), 0
    for progress in build_cache(
        chosen.samples, cache, encode_video=encode_video, encode_text=encode_text, key=key
    ):
        encoded += progress.encoded
        if progress.rejected and progress.rejected not in rejected:
            rejected.append(progress.rejected)
        yield Step(progress.done, progress.total)
    dataset = CachedDataset(cache)
    summary = "\n".join([*_summary(dataset, chosen, target), f"{encoded} texts and clips encoded."])
    write_whole(cache / REPORT, f"{summary}\n{_lines(rejected, None)}\n".encode())
    report = f"{summary}\n{_lines(rejected, cache / REPORT)}"
    yield Step(progress.total, progress.total, Prepared(dataset, report))


def _scanned(source: Path, cache: Path) -> Generator[Step, None, Listing]:
    memo = Memo(cache / "memo.json")
    try:
        for progress in scanning(source, memo):
            yield Step(progress.done, progress.total)
    finally:
        memo.save()
    return progress.listing


def _summary(dataset: CachedDataset, chosen: Plan, target: Target) -> Iterator[str]:
    used = set(dataset.clips)
    samples = [s for s in chosen.samples if s.clip.name in used]
    yield f"{len(dataset)} samples from {len(used)} clips, {target.fps:g} frames a second."
    for (width, height, length), count in sorted(Counter(s.bucket for s in samples).items()):
        yield f"{width} x {height}, {length} frames: {count}"
    yield from _notes({s.clip.name: s for s in samples}.values(), target)


def _notes(samples: Collection[Sample], target: Target) -> Iterator[str]:
    """What is worth knowing about clips that are used all the same."""
    slow = sum(s.clip.facts.frames < frames_at(s.clip, target.fps) for s in samples)
    if slow:
        yield f"{slow} clips have fewer frames a second than that: some frames are repeated."
    small = sum(
        s.clip.facts.width < s.bucket.width or s.clip.facts.height < s.bucket.height
        for s in samples
    )
    if small:
        yield f"{small} clips are smaller than that and are enlarged."


def _lines(rejected: Sequence[Rejected], more: Path | None) -> str:
    """What is left out, line by line, as text that can be written as UTF-8; `more`: a file with
    all lines, where only some are shown."""
    shown = rejected if more is None else rejected[:_SHOWN]
    lines = [f"{len(rejected)} left out{':' if rejected else '.'}"]
    lines += [f"  {r.path}: {r.reason}" for r in shown]
    if len(shown) < len(rejected):
        lines.append(f"  and {len(rejected) - len(shown)} more, all named in {more}")
    return "\n".join(lines).encode(errors="backslashreplace").decode()
