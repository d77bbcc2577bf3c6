"""What the cache holds, read one sample at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import DataError
from .cache import FORMAT, INDEX
from .store import Entry, read_entry, stat_of


class CachedDataset:
    """Latents and text features of a folder made by `build_cache`. Holds the index only.

    key: names the models that encoded; ids: content hash of each sample; fingerprint: hash of
    both; digests: content hash of the clip that each sample is cut from; buckets: samples by the
    shape (F, h, w) of their latents, which share a batch.
    Raises DataError for a folder without a whole index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        index = _read_index(self.folder)
        self.key: str = index["key"]
        self.ids: tuple[str, ...] = tuple(s["id"] for s in index["samples"])
        self.digests: tuple[str, ...] = tuple(s["digest"] for s in index["samples"])
        self.captions: tuple[str, ...] = tuple(s["caption"] for s in index["samples"])
        self.clips: tuple[str, ...] = tuple(s["clip"] for s in index["samples"])
        self.fingerprint = hashlib.sha256("\n".join([self.key, *self.ids]).encode()).hexdigest()
        self._latents = [s["latents"] for s in index["samples"]]
        self._texts = [s["text"] for s in index["samples"]]
        self._empty: str = index["empty"]
        self._shards: dict[str, list[int]] = index["shards"]
        self._entries = {
            key: Entry(e["file"], tuple(e["shape"]), e["checksum"])
            for key, e in index["entries"].items()
        }
        self.buckets = self._by_shape()

    def __len__(self) -> int:
        return len(self.ids)

    def latents(self, index: int) -> Tensor:
        """[C, F, h, w] as the model sees them, float32. Raises DataError for a damaged file."""
        return self._read(self._latents[index])

    def text(self, index: int) -> Tensor:
        """[L, D] of the sample's caption, float32. Raises DataError for a damaged file."""
        return self._read(self._texts[index])

    @property
    def empty_text(self) -> Tensor:
        """[L, D] of the empty prompt, float32. Raises DataError for a damaged file."""
        return self._read(self._empty)

    def damage(self) -> list[str]:
        """Shards that are gone or were written since the index was; reads none of them."""
        return [name for name, stat in self._shards.items() if not self._same(name, stat)]

    def _same(self, name: str, stat: list[int]) -> bool:
        try:
            return stat_of(self.folder / name) == stat
        except OSError:
            return False

    def _read(self, key: str) -> Tensor:
        return read_entry(self.folder, key, self._entries[key])

    def _by_shape(self) -> Mapping[tuple[int, int, int], tuple[int, ...]]:
        found: dict[tuple[int, int, int], list[int]] = {}
        for sample, key in enumerate(self._latents):
            found.setdefault(self._entries[key].shape[1:], []).append(sample)
        return {shape: tuple(samples) for shape, samples in sorted(found.items())}


def _read_index(folder: Path) -> dict:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] == FORMAT:
            return index
        problem = f"it has format {index['format']}, and this version reads {FORMAT}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise DataError(
        f"{folder} holds no finished dataset: {INDEX} cannot be used ({problem}). Run the caching "
        "again; what is encoded already is kept."
    )
