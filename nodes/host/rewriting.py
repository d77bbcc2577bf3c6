"""Where the rewriter's files are, and how the host follows and stops it."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths

from ...fvg_core.prompts import Instructions, Watch


def rewriter_instructions() -> Instructions:
    """The pack's, and over them what the owner keeps in fvg/prompts of the system's user folder,
    which no request can write."""
    return Instructions(Path(folder_paths.get_system_user_directory("fvg"), "prompts"))


def rewrites_folder() -> Path:
    return Path(folder_paths.get_output_directory(), "fvg", "rewrites")


# The nodes whose last texts are not what was asked for, and how often each asked again.
_unsettled: set[str] = set()
_again: dict[str, int] = {}


def note_settled(node_id: str, settled: bool) -> None:
    """Whether a node's last texts are what was asked for, or the rules' in their place."""
    (_unsettled.discard if settled else _unsettled.add)(node_id)


def settled_stamp(node_id: str) -> str:
    """Changes once after each run in which the rules stood in: the next one tries the model."""
    if node_id in _unsettled:
        _unsettled.discard(node_id)
        _again[node_id] = _again.get(node_id, 0) + 1
    return str(_again.get(node_id, 0))


def rewriting_watch() -> Watch:
    """Shows progress, and stops when the host is told to."""
    bar = comfy.utils.ProgressBar(1)
    return Watch(
        tick=comfy.model_management.throw_exception_if_processing_interrupted,
        step=bar.update_absolute,
    )
