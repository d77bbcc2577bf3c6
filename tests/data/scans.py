"""A folder of clips, listed at once."""

from __future__ import annotations

from pathlib import Path

from fvg_core.data import Listing
from fvg_core.data.memo import Memo
from fvg_core.data.scan import scanning


def scan(folder: Path, memo: Memo | None = None) -> Listing:
    *_, last = scanning(folder, memo)
    return last.listing
