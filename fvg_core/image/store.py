"""Candidates on disk: a folder that a person can read, of pictures that appear whole or not at all.

The 8-bit PNG is the truth: what is passed on is always what was read back from it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from ..errors import AnchorError
from ..files import write_whole

RECIPE = "recipe.json"
_LONGEST_SLUG = 48  # characters; in UTF-8 well below what file systems take
_KEY_DIGITS = 12
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def folder_name(title: str, key: str) -> str:
    """A name that a person recognises and that belongs to this key alone."""
    slug = re.sub(r"[\W_]+", "-", title.lower())[:_LONGEST_SLUG].strip("-")
    return f"{slug or 'candidates'}-{key[:_KEY_DIGITS]}"


def is_whole(path: Path, width: int, height: int) -> bool:
    """Whether a picture of that size is there and can be decoded to its end."""
    try:
        state = path.stat()
    except OSError:
        return False
    return _decodes(path, state.st_size, state.st_mtime_ns, width, height)


@lru_cache(maxsize=4096)
def _decodes(path: Path, size: int, mtime_ns: int, width: int, height: int) -> bool:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            return image.size == (width, height)
    except _UNREADABLE:
        return False


def write_picture(path: Path, picture: Tensor, texts: Mapping[str, str]) -> None:
    """IMAGE [H, W, 3] in [0, 1] -> 8-bit PNG with `texts` as its metadata. Raises DataError."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    content = io.BytesIO()
    to_pil(picture).save(content, "PNG", pnginfo=info, compress_level=4)
    write_whole(path, content.getvalue())


def read_pictures(paths: Iterable[Path]) -> Tensor:
    """Pictures of one size -> IMAGE [B, H, W, 3] in [0, 1]. Raises AnchorError."""
    return torch.stack([read_picture(path) for path in paths])


def read_picture(path: Path) -> Tensor:
    """Any picture file, upright and without alpha -> IMAGE [H, W, 3] in [0, 1].

    Raises AnchorError for a file that is no picture.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits of gray
                gray = np.asarray(upright, dtype=np.float32)[..., None] / 257
                pixels = gray.clip(0, 255).repeat(3, axis=-1)
            else:
                pixels = np.asarray(upright.convert("RGB"), dtype=np.float32)
    except _UNREADABLE as error:
        raise AnchorError(
            f"{path.name} cannot be read as a picture ({error or type(error).__name__}). Replace "
            "it by a PNG, JPEG or WebP file, or take it out of the folder."
        ) from error
    return torch.from_numpy(pixels / 255.0)


def to_pil(picture: Tensor) -> Image.Image:
    """IMAGE [H, W, 3 or more] -> 8-bit RGB, rounded."""
    levels = picture[..., :3].detach().float().cpu().mul(255).round().clamp(0, 255)
    return Image.fromarray(levels.to(torch.uint8).numpy())


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """What the pictures of a folder were made from. Raises DataError."""
    text = json.dumps(recipe, indent=1, ensure_ascii=False)
    write_whole(folder / RECIPE, text.encode(errors="replace"))  # a prompt may hold any character


def read_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of a folder; {} where there is none, or none that can be read."""
    try:
        recipe = json.loads((folder / RECIPE).read_bytes())
    except (OSError, ValueError):
        return {}
    return recipe if isinstance(recipe, dict) else {}
