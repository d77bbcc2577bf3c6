"""Which samples a step sees: a function of the seed and the step, so that nothing has to be kept
to go on, and several processes agree without talking."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache

Shape = tuple[int, int, int]  # latent frames, height, width


def mix(*parts: int | str) -> int:
    """A seed of 63 bits from several values, as good as independent for different ones."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def held_out(digests: Sequence[str], count: int) -> tuple[int, ...]:
    """Indices of all samples of `count` clips kept for validation. digests: of the clip that each
    sample is cut from. Chosen by content, so that adding clips to a folder does not exchange them
    all."""
    ranked = sorted(set(digests), key=lambda d: hashlib.sha256(d.encode()).digest())[:count]
    chosen = set(ranked)
    return tuple(i for i, digest in enumerate(digests) if digest in chosen)


class Order:
    """Batches of one shape each, every sample once an epoch (the last of a shape filled up from
    its start), shuffled anew every epoch."""

    def __init__(self, buckets: Mapping[Shape, Sequence[int]], batch: int, seed: int):
        self._buckets = {shape: tuple(buckets[shape]) for shape in sorted(buckets)}
        self._batch, self._seed = batch, seed
        self.per_epoch = sum(-(-len(indices) // batch) for indices in self._buckets.values())
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def at(self, step: int) -> list[int]:
        """The samples of a step, `batch` of them."""
        epoch, place = divmod(step, self.per_epoch)
        return self._epoch(epoch)[place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        rng = random.Random(mix("order", self._seed, epoch))
        batches = []
        for indices in self._buckets.values():
            shuffled = rng.sample(indices, len(indices))
            for first in range(0, len(shuffled), self._batch):
                batches.append(
                    [shuffled[(first + i) % len(shuffled)] for i in range(self._batch)]
                    if first + self._batch > len(shuffled)
                    else shuffled[first : first + self._batch]
                )
        rng.shuffle(batches)
        return batches
