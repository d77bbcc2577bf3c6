"""Where candidates come from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..errors import AnchorError

MODEL, PIPELINE, PICTURES, FOLDER = "model", "pipeline", "pictures", "picture_folder"
MODELS = ("model", "clip", "vae")
NO_PIPELINE = "none"
MOST = 64  # candidates, of any source
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def source_of(connected: Collection[str], pipeline: str, picture_folder: str) -> str:
    """The one source that is given: an image model, a pipeline, pictures, or a folder of them.

    `connected`: inputs that something is linked to. Raises AnchorError for none and for several.
    """
    models = [name for name in MODELS if name in connected]
    given = [
        *([MODEL] if models else []),
        *([PIPELINE] if pipeline != NO_PIPELINE else []),
        *([PICTURES] if PICTURES in connected else []),
        *([FOLDER] if picture_folder.strip() else []),
    ]
    if len(given) != 1:
        raise AnchorError(
            f"candidates come from one source; given: {', '.join(given) or 'none'}. Connect an "
            "image model (model, clip and vae), or choose a pipeline, or connect pictures, or "
            "name a picture_folder."
        )
    if given == [MODEL] and len(models) < len(MODELS):
        missing = " and ".join(name for name in MODELS if name not in models)
        raise AnchorError(
            f"the image model is incomplete: {' and '.join(models)} connected, {missing} not. "
            "Connect model, clip and vae that belong together."
        )
    return given[0]


def list_pictures(folder: Path) -> list[Path]:
    """Picture files of a folder, by name. Raises AnchorError for none and for too many."""
    if not folder.is_dir():
        raise AnchorError(f"picture_folder {folder.name} is not a folder in ComfyUI's input.")
    found = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
    check_count(len(found), f"picture_folder {folder.name}")
    return sorted(found, key=lambda path: path.name.lower())


def check_count(count: int, holder: str) -> None:
    """Raise AnchorError unless 1 to MOST pictures are there."""
    if not 1 <= count <= MOST:
        raise AnchorError(
            f"{holder} holds {count} pictures; 1 to {MOST} can be candidates. "
            + ("Put some there." if not count else "Take some out.")
        )
