"""The identity of what comes out of a part of the graph, without running it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ...fvg_core.image.graph import graph_hash, upstream_texts
from .models import TINY_LORAS

# Inputs of our nodes that change how the work is done, but not what comes out.
_IGNORED = {"FVGAnchorImageGenerator": frozenset({"batch"})}
# Nodes of ours that load files which no widget names.
_FILES_OF = {"FVGTinyWorldLoader": TINY_LORAS.parent}
# Categories of the host whose names are not those of models.
_NO_MODELS = {"custom_nodes", "configs"}
_LONGEST_NAME = 400  # characters; longer texts are prompts
# What the host is told of a node's changes, where it stands for content: other texts and numbers
# are often a clock's, by which a node asks to be run every time.
_DIGEST = re.compile(r"[0-9a-f]{32,128}")
# What nodes of ours made that does not follow from the graph, by their key and fingerprint.
_made: dict[tuple[str, str], str] = {}


def upstream_key(prompt: Mapping[str, Any], node_id: str, *, of: str | None = None) -> str:
    """A hash of everything that node `node_id` (or only its input `of`) depends on.

    Class types, widget values and links upstream, size and time of every file that a widget there
    names in the host's model and input folders, digests by which other packs' loaders tell the
    host what they read, and what `note_made` was told; never pixels. Titles, positions and node
    ids do not matter: a duplicated or moved node, one in a subgraph ("1:2:3"), a reload and a
    restart give the same key. `prompt`: the graph in API format, see `graph_of`.
    """
    return _key(prompt, node_id, of, _made_in(prompt))


def note_made(hidden, made: str) -> None:
    """Let keys downstream of a node (its `cls.hidden`) tell apart what it makes of one graph at
    different times, such as a language model's texts."""
    prompt, node_id = graph_of(hidden), str(hidden.unique_id)
    others = _made_in(prompt)

    def made_by(name: str, key: str) -> str:
        return "" if name == node_id else others(name, key)

    key = _key(prompt, node_id, None, made_by), _fingerprint(prompt, node_id)
    _made[key] = hashlib.sha256(made.encode()).hexdigest()


def _key(
    prompt: Mapping[str, Any], node_id: str, of: str | None, made_by: Callable[[str, str], str]
) -> str:
    return graph_hash(
        prompt,
        node_id,
        of=of,
        stamp=_stamp,
        files_of=_files_of,
        made_by=made_by,
        ignored=_IGNORED,
    )


def _made_in(prompt: Mapping[str, Any]) -> Callable[[str, str], str]:
    def made(name: str, key: str) -> str:
        fingerprint = _fingerprint(prompt, name)
        if prompt.get(name, {}).get("class_type", "").startswith("FVG"):
            return _made.get((key, fingerprint), "")
        return " ".join(_DIGEST.findall(fingerprint))

    return made


def _fingerprint(prompt: Mapping[str, Any], node_id: str) -> str:
    """What the host found in this run when it asked a node whether it has changed."""
    return json.dumps(prompt.get(node_id, {}).get("is_changed"), default=str)


def named_files(prompt: Mapping[str, Any], node_id: str, *, of: str) -> set[str]:
    """Names of files and folders of the host that widgets upstream of an input name."""
    return {text for text in upstream_texts(prompt, node_id, of=of) if _stamp(text)}


def graph_of(hidden) -> dict[str, Any]:
    """The whole graph that a node (its `cls.hidden`) runs in, with what other nodes expanded to.

    The node's schema asks for Hidden.dynprompt.
    """
    graph = hidden.dynprompt
    return {**graph.original_prompt, **graph.ephemeral_prompt}


def folder_stamp(folder: Path) -> str:
    """Names, sizes and times of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ";".join(f"{path.relative_to(folder).as_posix()} {_state(path)}" for path in files)


def _files_of(class_type: str) -> str:
    folder = _FILES_OF.get(class_type)
    return folder_stamp(folder) if folder else ""


def _stamp(text: str) -> str:
    """The state of what a text names in the host's folders; "" where it names nothing."""
    if not text.strip() or len(text) > _LONGEST_NAME or "\n" in text or "\0" in text:
        return ""
    found = [_state(path) if path.is_file() else folder_stamp(path) for path in _named(text)]
    return "|".join(found)


def _named(text: str) -> Iterator[Path]:
    """Files and folders of that name in the host's input (or "name [output]") and models."""
    name, annotated = folder_paths.annotated_filepath(text)
    roots = [annotated or folder_paths.get_input_directory()]
    suffix = os.path.splitext(text)[1].lower()
    for category, (paths, suffixes) in folder_paths.folder_names_and_paths.items():
        fits = not suffixes or suffix in suffixes or "folder" in suffixes
        if fits and category not in _NO_MODELS:
            roots += paths
    for root in map(os.path.abspath, dict.fromkeys(roots)):
        path = os.path.abspath(os.path.join(root, name))
        # A link inside may lead elsewhere, as the host's loaders allow; the name may not.
        if path.startswith(root + os.sep) and os.path.exists(path):
            yield Path(path)


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "gone"
    return f"{state.st_size} {state.st_mtime_ns}"
