"""Clips that several tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_files import caption, grays, write_video


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four clips: three squares, one of them long, and one that is twice as wide as high."""
    folder = tmp_path / "clips"
    for name, (count, width, height) in {
        "a": (17, 32, 32), "b": (9, 32, 32), "c": (9, 64, 32), "d": (10, 32, 32)
    }.items():  # fmt: skip
        caption(write_video(folder / f"{name}.mp4", grays(count, width, height)), f"clip {name}")
    return folder
