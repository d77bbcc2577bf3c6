"""What the Anchor Picker shows and remembers, below the host's output folder.

The host's temporary files and caches do not outlive a restart; pictures and choices here do.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
from PIL import Image
from torch import Tensor

from ...fvg_core.files import write_whole
from ...fvg_core.image import read_choices, write_choices
from ...fvg_core.image.graph import is_link
from ...fvg_core.image.store import to_pil

_SUBFOLDER = "fvg/picker"
_THUMB = 320  # pixels, the longer side
_KEPT = 1000  # choices
# The pictures that each node has shown, and how often some were found missing: the host would not
# run a node again for that.
_shown: dict[str, list[Path]] = {}
_lost: dict[str, int] = {}


def save_views(node_id: str, images: Tensor, key: str, *, keep: bool) -> dict[str, Any]:
    """IMAGE [B, H, W, 3 or more] -> names of pictures and thumbnails, and the folder for /view.

    keep: in the output, where they outlive a restart, rather than in the temporary folder.
    """
    kind = "output" if keep else "temp"
    subfolder = f"{_SUBFOLDER}/{key}"
    folder = Path(folder_paths.get_directory_by_type(kind)) / subfolder
    full, thumbs = [], []
    for i, image in enumerate(images):
        picture = to_pil(image)
        full.append(_save(picture, folder / f"candidate-{i:02d}.jpg"))
        if max(picture.size) > _THUMB:
            picture.thumbnail((_THUMB, _THUMB))
            thumbs.append(_save(picture, folder / f"thumb-{i:02d}.jpg"))
        else:
            thumbs.append(full[-1])
    _shown[node_id] = [folder / name for name in {*full, *thumbs}]
    return {"full": full, "thumbs": thumbs, "subfolder": subfolder, "type": kind}


def views_stamp(node_id: str) -> int:
    """Changes when pictures that a node has shown are gone."""
    if not all(path.is_file() for path in _shown.get(node_id, ())):
        _lost[node_id] = _lost.get(node_id, 0) + 1
        del _shown[node_id]  # counted once; a new run puts it back
    return _lost.get(node_id, 0)


def _save(picture: Image.Image, path: Path) -> str:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=95, subsampling=0)
    write_whole(path, data.getvalue())
    return path.name


def upstream_seeds(prompt: dict, node_id: str, *, of: str) -> dict[str, dict[str, int]]:
    """Seeds of the nodes that made input `of`, by node and input.

    The editor may draw new seeds once a run is queued; then the page puts these back, or the
    choice would be among candidates that are never made again.
    """
    found: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    waiting = [prompt[node_id]["inputs"].get(of)]
    while waiting:
        link = waiting.pop()
        if not is_link(link) or link[0] in seen:
            continue
        seen.add(link[0])
        inputs = prompt.get(link[0], {}).get("inputs", {})
        waiting += inputs.values()
        seeds = {name: v for name, v in inputs.items() if "seed" in name and type(v) is int}
        if seeds:
            found[link[0]] = seeds
    return found


def remembered(node_id: str) -> dict[str, tuple[int, ...]]:
    """What was chosen in this node before, by key; also in another tab or before a restart."""
    return read_choices(_read().get(node_id, ""))


def remember(node_id: str, key: str, picked: Sequence[int]) -> None:
    """Keep a choice, the latest first, for `remembered`."""
    known = _read()
    mine = read_choices(known.pop(node_id, ""))
    if mine.get(key) == tuple(picked) and next(iter(mine)) == key:
        return
    mine = {key: picked, **{k: v for k, v in mine.items() if k != key}}
    known = {node_id: write_choices(dict(list(mine.items())[:_KEPT])), **known}
    text = json.dumps(dict(list(known.items())[:_KEPT]), indent=1)
    write_whole(_choices(), text.encode())


def _read() -> dict[str, str]:
    try:
        kept = json.loads(_choices().read_text(encoding="utf-8"))
        return {str(k): str(v) for k, v in kept.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _choices() -> Path:
    return Path(folder_paths.get_output_directory()) / _SUBFOLDER / "choices.json"
