"""What this checkout is: version, commit, weights."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

from dev.host import PACK

WEIGHTS = PACK / "fvg_core" / "tiny" / "weights"


def describe_pack() -> dict[str, Any]:
    """Version, commit (with a mark for local changes) and the hashes of the tiny weights."""
    text = (PACK / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+?)"', text, re.MULTILINE)
    return {
        "version": version.group(1) if version else None,
        "commit": _git("describe", "--always", "--dirty", "--abbrev=40"),
        "weights": weight_hashes(WEIGHTS),
    }


def weight_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weights file under a folder, LoRAs too, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.safetensors"))
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACK), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
