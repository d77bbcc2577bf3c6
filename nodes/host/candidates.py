"""Candidates that stand on disk, in the output folder, one file for each."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import folder_paths
from comfyui_version import __version__ as comfyui_version

from ...fvg_core import __version__
from ...fvg_core.errors import AnchorError
from ...fvg_core.image import sources, store
from ...fvg_core.image.graph import is_link
from ...fvg_core.image.seeds import candidate_seeds
from .drawing import list_pipelines
from .graph_key import folder_stamp, graph_of, named_files, upstream_key

_PLACE = Path("fvg", "anchors")  # below the host's output folder
_DRAWN = ("prompt", "negative", "width", "height", "steps", "cfg")
_OWN = ("width", "height", "fit")
# By source: the widgets that shape the pictures, and the inputs that do so with all upstream.
_SHAPED_BY = {
    sources.MODEL: ((*_DRAWN, "sampler_name", "scheduler"), sources.MODELS),
    sources.PIPELINE: (_DRAWN, (sources.PIPELINE,)),
    sources.PICTURES: (_OWN, (sources.PICTURES,)),
    sources.FOLDER: (_OWN, (sources.FOLDER,)),
}
_LAZY = {sources.MODEL: sources.MODELS, sources.PICTURES: (sources.PICTURES,)}
# The files that each node handed out in this process, with their state then; and how often some
# were found changed. The host would hand out its own copy of the pictures without looking, also of
# what was made for earlier settings.
_handed: dict[str, dict[Path, tuple[int, int] | None]] = {}
_changed: dict[str, int] = {}


@dataclass(frozen=True)
class Candidates:
    """What a node was asked for, and where on disk it is or will be.

    `settings`: the widgets that shape the pictures. `seeds` is empty for own pictures; `files`
    while it is not known how many those are.
    """

    source: str
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any]
    folder: Path
    files: tuple[str, ...]
    seeds: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """The folder, as seen from the host's output folder."""
        return (_PLACE / self.folder.name).as_posix()

    @property
    def paths(self) -> list[Path]:
        return [self.folder / name for name in self.files]

    def missing(self) -> list[int]:
        """Which are not there, or damaged."""
        size = self.settings["width"], self.settings["height"]
        return [i for i, path in enumerate(self.paths) if not store.is_whole(path, *size)]

    def inputs_needed(self) -> list[str]:
        """The inputs without which the missing ones cannot be made."""
        complete = self.files and not self.missing()
        return [] if complete else list(_LAZY.get(self.source, ()))

    def with_pictures(self, count: int) -> Candidates:
        """Own pictures, now that their number is known."""
        return replace(self, files=own_files(count), recipe={**self.recipe, "count": count})


def one_by_one(lists: Mapping[str, Sequence[Any]], whole: Sequence[str]) -> Iterator[dict]:
    """Inputs of a node that takes lists, as others get them: in turn, the last one of a shorter
    list again and again. Those of `whole` stay lists."""
    count = max(len(values) for name, values in lists.items() if name not in whole)
    for i in range(count):
        yield {
            name: values if name in whole else values[min(i, len(values) - 1)]
            for name, values in lists.items()
        }


def wanted_candidates(hidden, widgets: Mapping[str, Any]) -> Candidates:
    """What a node (its `cls.hidden`, its widgets by name) is asked for.

    Raises AnchorError where that is unclear or impossible.
    """
    graph, node_id = graph_of(hidden), hidden.unique_id
    linked = {name for name, value in graph[node_id]["inputs"].items() if is_link(value)}
    source = sources.source_of(linked, widgets["pipeline"], widgets["picture_folder"])
    names, upstream = _SHAPED_BY[source]
    settings = {name: widgets[name] for name in names}
    keys = {name: upstream_key(graph, node_id, of=name) for name in upstream}
    key = hashlib.sha256(json.dumps([source, settings, keys]).encode()).hexdigest()
    recipe = {
        "source": source,
        **settings,
        **{name: widgets[name] for name in upstream if name not in _LAZY.get(source, ())},
        "loaded": sorted({f for name in upstream for f in named_files(graph, node_id, of=name)}),
        "key": key,
        "versions": _versions(source),
    }
    title = widgets["prompt" if source in (sources.MODEL, sources.PIPELINE) else "picture_folder"]
    folder = _root() / store.folder_name(title or source, key)
    made = Candidates(source, settings, recipe, folder, ())
    if source == sources.PICTURES:
        count = store.read_recipe(folder).get("count")
        known = isinstance(count, int) and 0 < count <= sources.MOST
        return made.with_pictures(count) if known else made
    if source == sources.FOLDER:
        found = sources.list_pictures(picture_folder(widgets["picture_folder"]))
        return made.with_pictures(len(found))
    seeds = candidate_seeds(widgets["seed"], widgets["candidates"], widgets["seeds"])
    return replace(made, files=tuple(f"seed-{seed}.png" for seed in seeds), seeds=tuple(seeds))


def own_files(count: int) -> tuple[str, ...]:
    return tuple(f"picture-{i:02d}.png" for i in range(count))


def _root() -> Path:
    return Path(folder_paths.get_output_directory()) / _PLACE


def _versions(source: str) -> dict[str, str]:
    packages = ("torch", "diffusers") if source == sources.PIPELINE else ("torch",)
    return {"fvg": __version__, "comfyui": comfyui_version, **{p: version(p) for p in packages}}


def picture_folder(name: str) -> Path:
    """A folder below the host's input folder. Raises AnchorError for any other."""
    root = Path(folder_paths.get_input_directory()).resolve()
    try:
        path = (root / name.strip()).resolve()
    except (OSError, ValueError) as error:
        raise AnchorError(f"picture_folder is {name!r}, which is no path: {error}") from error
    if not path.is_relative_to(root) or path == root:
        raise AnchorError(
            f"picture_folder is {name!r}; only folders below ComfyUI's input folder are read. "
            "Copy the pictures into a folder there, and give its name."
        )
    return path


def note_handed_out(node_id: str, wanted: Candidates) -> None:
    """Note what a node hands out, for `candidates_stamp`."""
    _handed.setdefault(node_id, {}).update({path: _state(path) for path in wanted.paths})


def candidates_stamp(node_id: str, folder: str | None, pipeline: str | None) -> str:
    """Changes when files that the node handed out did, or what it reads from disk itself."""
    if any(_state(path) != state for path, state in _handed.get(node_id, {}).items()):
        _changed[node_id] = _changed.get(node_id, 0) + 1
        del _handed[node_id]  # counted once; a new run puts it back
    stamps = [str(_changed.get(node_id, 0))]
    with contextlib.suppress(AnchorError):  # the node itself will say what is wrong
        if folder and folder.strip():
            stamps.append(folder_stamp(picture_folder(folder)))
    if pipeline != sources.NO_PIPELINE and (path := list_pipelines().get(pipeline or "")):
        stamps.append(folder_stamp(path))
    return " ".join(stamps)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
