"""Tensors by key in a folder of safetensors files, each written whole or not at all.

A new tensor is written at once into `pending/`, a file of its own, so that a kill at any moment
loses none; a few hundred megabytes of them become one shard. Every file says in its metadata what
it holds, with a checksum for each tensor, so that damage is found and nothing else is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import DataError
from ..files import write_whole

SHARD_BYTES = 256 * 2**20
SHARD_ENTRIES = 512  # the header is read for each tensor
_PENDING = "pending"
_META = "fvg"


@dataclass(frozen=True)
class Entry:
    """Where a tensor is. `file`: below the folder; `shape`: as given to `put`.

    The rows of zeros at a tensor's end are not stored: `shape` says how many there were.
    """

    file: str
    shape: tuple[int, ...]
    checksum: int


def read_entry(folder: Path, key: str, entry: Entry) -> Tensor:
    """A tensor as it was stored, float32. Raises DataError for a damaged or missing file."""
    try:
        # The host may run this in inference mode, whose tensors cannot be trained with.
        with torch.inference_mode(False), safe_open(folder / entry.file, "pt") as file:
            # A copy: what safetensors gives is the file itself, mapped into memory, and the
            # process would die with it if the file were cut off later.
            stored = file.get_tensor(key).clone()
            if _checksum(stored) != entry.checksum:
                raise DataError("its contents have changed")
            if tuple(stored.shape) == entry.shape:
                return stored
            whole = torch.zeros(entry.shape)
            whole[: len(stored)] = stored
            return whole
    except (OSError, SafetensorError, DataError) as error:
        raise DataError(
            f"the cached file {entry.file} in {folder} is damaged or missing ({error}). Delete it "
            "and run the caching again: only what it held is encoded again."
        ) from error


class Store:
    """The tensors of a folder; made for one writer at a time.

    shard_bytes: about how large a shard becomes.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.entries: dict[str, Entry] = {}
        self.waiting: dict[str, Entry] = {}  # those of `entries` that are not in a shard yet
        self.waiting_bytes = 0

    def load(self, trusted: Mapping[str, list[int]]) -> Iterator[str]:
        """Take up what the folder holds, yielding each file's name; delete what is damaged.

        trusted: [size, time of change] of shards that were right when they had them; all others
        are read and compared with their checksums.
        """
        for part in [*self.folder.glob("*.part"), *self.folder.glob(f"{_PENDING}/*.part")]:
            part.unlink(missing_ok=True)
        for path in sorted(self.folder.glob("*.safetensors")):
            yield path.name
            held = self._held(path)
            if trusted.get(path.name) != stat_of(path):
                held = held if self._sound(held) else None
            self._take(path, held)
        for path in sorted(self.folder.glob(f"{_PENDING}/*.safetensors")):
            held = self._held(path)
            if held is None or held.keys() <= self.entries.keys() or not self._sound(held):
                path.unlink()
            else:
                self.entries |= held
                self.waiting |= held
                self.waiting_bytes += path.stat().st_size

    def _take(self, path: Path, held: dict[str, Entry] | None) -> None:
        if held is None:
            path.unlink()
        else:
            self.entries |= held

    def _held(self, path: Path) -> dict[str, Entry] | None:
        """What a file says that it holds; None for a damaged one."""
        name = path.relative_to(self.folder).as_posix()
        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {})[_META])
                if set(told) != set(file.keys()):
                    return None
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        return {key: Entry(name, tuple(shape), checksum) for key, (shape, checksum) in told.items()}

    def _sound(self, held: dict[str, Entry] | None) -> bool:
        try:
            for key, entry in (held or {}).items():
                read_entry(self.folder, key, entry)
        except DataError:
            return False
        return held is not None

    def put(self, key: str, tensor: Tensor) -> None:
        """Store a tensor as float32. Raises DataError if it cannot be written."""
        tensor = tensor.detach().to("cpu", torch.float32).contiguous()
        stored = _without_zero_rows(tensor)
        entry = Entry(f"{_PENDING}/{key}.safetensors", tuple(tensor.shape), _checksum(stored))
        self._write({key: stored}, {key: entry})
        self.entries[key] = self.waiting[key] = entry
        self.waiting_bytes += stored.nbytes
        if self.waiting_bytes >= self.shard_bytes or len(self.waiting) >= SHARD_ENTRIES:
            self.pack()

    def pack(self) -> None:
        """Make one shard of all tensors that wait."""
        if not self.waiting:
            return
        keys = sorted(self.waiting)
        name = f"shard-{hashlib.sha256(''.join(keys).encode()).hexdigest()[:12]}.safetensors"
        tensors = {
            key: _without_zero_rows(read_entry(self.folder, key, self.waiting[key])) for key in keys
        }
        packed = {
            key: Entry(name, entry.shape, entry.checksum) for key, entry in self.waiting.items()
        }
        self._write(tensors, packed)
        for entry in self.waiting.values():
            (self.folder / entry.file).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.folder / _PENDING).rmdir()
        self.entries |= packed
        self.waiting, self.waiting_bytes = {}, 0

    def _write(self, tensors: dict[str, Tensor], entries: dict[str, Entry]) -> None:
        told = json.dumps({key: (entry.shape, entry.checksum) for key, entry in entries.items()})
        (file,) = {entry.file for entry in entries.values()}
        write_whole(self.folder / file, save(tensors, {_META: told}))


def stat_of(path: Path) -> list[int]:
    """Size and time of change of a file."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.contiguous().numpy().reshape(-1).view("u1"))


def _without_zero_rows(tensor: Tensor) -> Tensor:
    """A tensor [L, D] up to its last row with a bit set; every other shape as it is.

    Wan's text features are zero after the prompt: 512 rows, of which most prompts need 50.
    """
    if tensor.ndim != 2:
        return tensor
    used = tensor.view(torch.int32).any(dim=1).nonzero()
    return tensor[: int(used[-1]) + 1 if len(used) else 0].contiguous()
