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


def rewriting_watch() -> Watch:
    """Shows progress, and stops when the host is told to."""
    bar = comfy.utils.ProgressBar(1)
    return Watch(
        tick=comfy.model_management.throw_exception_if_processing_interrupted,
        step=bar.update_absolute,
    )
