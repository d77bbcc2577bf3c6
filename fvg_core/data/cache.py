"""Encodes every clip and caption once, and goes on where an interrupted run stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DataError
from ..files import write_whole
from .buckets import Sample
from .decode import decode
from .scan import Rejected
from .store import SHARD_BYTES, Entry, Store, stat_of

INDEX = "index.json"
FORMAT = 2  # of the index
_PIXELS = 1  # how clips become pixels and are stored: another number encodes everything again

EncodeVideo = Callable[[Tensor], Tensor]  # pixels [F, H, W, 3] in [0, 1] -> latents [C, F', h, w]
EncodeText = Callable[[str], Tensor]  # -> features [L, D]


@dataclass(frozen=True)
class CacheProgress:
    """`done` of `total` texts and clips are stored. `encoded`: whether the last one was new;
    `rejected`: it could not be decoded or encoded, and why."""

    done: int
    total: int
    encoded: bool = False
    rejected: Rejected | None = None


def build_cache(
    samples: Sequence[Sample],
    folder: Path,
    *,
    encode_video: EncodeVideo,
    encode_text: EncodeText,
    key: str,
    shard_bytes: int = SHARD_BYTES,
) -> Iterator[CacheProgress]:
    """Encode what the folder does not hold yet, one text or clip for each step of the iterator.

    encode_video: gives latents as the model sees them; key: names the models that encode.
    Raises DataError if nothing can be encoded, or something cannot be written.
    """
    store = Store(folder, shard_bytes)
    captions = list(dict.fromkeys(["", *(sample.clip.caption for sample in samples)]))
    total = len(captions) + len(samples)
    for _ in store.load(_index(folder).get("shards", {})):
        yield CacheProgress(0, total)
    for done, caption in enumerate(captions, 1):
        if new := text_key(caption, key) not in store.entries:
            store.put(text_key(caption, key), _features(caption, encode_text))
        yield CacheProgress(done, total, new)
    usable, failed = [], []
    for done, sample in enumerate(samples, len(captions) + 1):
        problem = None
        if new := latents_key(sample, key) not in store.entries:
            try:
                latents = _latents(sample, encode_video)
            except DataError as error:
                problem = Rejected(sample.clip.name, str(error))
            else:
                store.put(latents_key(sample, key), latents)
        failed.append(problem) if problem else usable.append(sample)
        yield CacheProgress(done, total, new and not problem, problem)
    if not usable:
        reasons = "; ".join(f"{r.path}: {r.reason}" for r in failed[:20])
        raise DataError(f"none of the clips can be used. {reasons}")
    store.pack()
    _write_index(folder, store, usable, key)


def latents_key(sample: Sample, key: str) -> str:
    """What the latents of a sample depend on, as a hash."""
    digest = sample.clip.facts.digest
    return _hash("latents", key, digest, *sample.bucket, sample.start, repr(float(sample.fps)))


def text_key(caption: str, key: str) -> str:
    """What the features of a caption depend on, as a hash."""
    return _hash("text", key, caption)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps([_PIXELS, *parts]).encode()).hexdigest()


def _latents(sample: Sample, encode_video: EncodeVideo) -> Tensor:
    width, height, length = sample.bucket
    pixels = decode(
        sample.clip.path,
        width=width,
        height=height,
        length=length,
        fps=sample.fps,
        start=sample.start,
    )
    latents = encode_video(pixels.float() / 255)
    if latents.ndim != 4:
        raise ValueError(f"encode_video gave {list(latents.shape)} instead of [C, F, h, w]")
    if not torch.isfinite(latents).all():
        raise DataError("the VAE makes numbers of it that are not finite; run the VAE in float32")
    return latents


def _features(caption: str, encode_text: EncodeText) -> Tensor:
    features = encode_text(caption)
    if features.ndim != 2:
        raise ValueError(f"encode_text gave {list(features.shape)} instead of [L, D]")
    return features


def _index(folder: Path) -> dict:
    """The index of an earlier run; empty without one, or if it is damaged: it is made again."""
    try:
        return dict(json.loads((folder / INDEX).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write_index(folder: Path, store: Store, samples: Sequence[Sample], key: str) -> None:
    listed, used = [], {text_key("", key)}
    for sample in samples:
        latents, text = latents_key(sample, key), text_key(sample.clip.caption, key)
        used |= {latents, text}
        listed.append(
            {
                "id": hashlib.sha256(f"{latents}{text}".encode()).hexdigest(),
                "clip": sample.clip.name,
                "digest": sample.clip.facts.digest,
                "caption": sample.clip.caption,
                "latents": latents,
                "text": text,
            }
        )
    entries: dict[str, Entry] = {key: store.entries[key] for key in sorted(used)}
    files = sorted({entry.file for entry in store.entries.values()})
    index = {
        "format": FORMAT,
        "key": key,
        "shards": {file: stat_of(folder / file) for file in files},
        "entries": {key: asdict(entry) for key, entry in entries.items()},
        "empty": text_key("", key),
        "samples": listed,
    }
    content = json.dumps(index, indent=1, ensure_ascii=False).encode()
    if content != _bytes(folder / INDEX):
        write_whole(folder / INDEX, content)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
