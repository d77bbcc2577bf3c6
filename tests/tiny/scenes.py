"""Scenes for the tests of this folder."""

from __future__ import annotations

import random

from fvg_core.tiny.world import Scene, sample_scene


def held_out(count: int, objects: int | None = None) -> list[Scene]:
    """Scenes that no training clip shows: one or two objects in turn, or always `objects`."""
    rng = random.Random(2026)
    return [sample_scene(rng, objects or 1 + i % 2, held_out=True) for i in range(count)]
