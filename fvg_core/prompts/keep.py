"""Rewrites kept on disk by what they depend on, because the host forgets its results."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..files import write_whole
from .instructions import Instructions
from .types import Options, Rewrite

FORMAT = 3  # of the files, and of the checks that made them
_LARGEST = 1_000_000  # bytes of one entry


class _Entry(BaseModel):
    """What one file holds."""

    model_config = ConfigDict(extra="forbid")

    key: str
    first_frame_prompt: str = Field(min_length=1)
    video_prompt: str
    report: dict


class Kept:
    """Rewrites of one model, set of instructions and options, below a folder."""

    def __init__(
        self, folder: Path, model_key: str, instructions: Instructions, options: Options
    ) -> None:
        self._folder = folder
        # One more or one less variation leaves the others as they are.
        asked = {k: v for k, v in asdict(options).items() if k != "variations"}
        self._base = {
            "format": FORMAT,
            "model": model_key,
            "options": asked,
            "instructions": instructions.everything(),
        }

    def read(self, prompt: str, seed: int, variation: int, earlier: list[str]) -> Rewrite | None:
        """None where nothing is kept, or what is kept is damaged."""
        key = self._key(prompt, seed, variation, earlier)
        path = self._path(key)
        try:
            if path.stat().st_size > _LARGEST:
                return None
            entry = _Entry.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        if entry.key != key:
            return None
        return Rewrite(entry.first_frame_prompt, entry.video_prompt, entry.report)

    def write(
        self, prompt: str, seed: int, variation: int, earlier: list[str], rewrite: Rewrite
    ) -> None:
        """Raises DataError where the disk takes nothing more."""
        key = self._key(prompt, seed, variation, earlier)
        content = json.dumps({"key": key, **asdict(rewrite)}, ensure_ascii=False, indent=1)
        write_whole(self._path(key), content.encode())

    def _key(self, prompt: str, seed: int, variation: int, earlier: list[str]) -> str:
        what = {"prompt": prompt, "seed": seed, "variation": variation, "earlier": earlier}
        text = json.dumps(self._base | what, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:24]}.json"
