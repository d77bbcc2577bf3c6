"""Candidates before the eyes of whoever scores them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
from PIL import Image
from torch import Tensor

from ...fvg_core.files import write_whole
from ...fvg_core.image.scoring import (
    Score,
    ask,
    read_checklist,
    read_scores,
    write_scores,
)
from ...fvg_core.image.store import to_pil
from ...fvg_core.llm import LanguageModel
from .llm import open_model

TINY = "tiny world"
SCORERS = (TINY, "clip", "server")


def score(images: Tensor, report: str, backend: str, clip=None) -> tuple[str, str | None]:
    """IMAGE [B, H, W, 3 or more] -> the Anchor Picker's scores, by one of SCORERS, and a notice
    where there are none because the tiny world does not know the prompt.

    Raises AnchorError, or LanguageModelError for a CLIP that is none or a server that does not
    answer.
    """
    pictures = [to_pil(image) for image in images]
    if backend == TINY:
        return _by_eye(pictures, report)
    questions = read_checklist(report)
    with open_model(backend, clip=clip) as model:
        return _ask(model, pictures, questions), None


def _by_eye(pictures: Sequence[Image.Image], report: str) -> tuple[str, str | None]:
    from ...fvg_core.image.tiny_scoring import questions, tiny_scores, wanted

    prompt, note = wanted(report)
    if prompt is None:
        return write_scores(TINY, [], [], note), note
    return write_scores(TINY, list(questions(prompt)), tiny_scores(pictures, prompt)), None


def _ask(model: LanguageModel, pictures: Sequence[Image.Image], questions: Sequence[str]) -> str:
    """Asking takes a while, and the host forgets: the answers for each picture are kept."""
    files = [_folder() / f"{_key(model, picture, questions)}.json" for picture in pictures]
    scores = {file: _read(file) for file in files}
    left = {file: p for file, p in zip(files, pictures, strict=True) if scores[file] is None}
    bar = comfy.utils.ProgressBar(len(left))
    stop = comfy.model_management.throw_exception_if_processing_interrupted
    asked = ask(model, list(left.values()), questions, stop, spoke=any(scores.values()))
    for file, one in zip(left, asked, strict=True):
        scores[file] = one
        write_whole(file, write_scores(model.name, questions, [one]).encode())
        bar.update(1)
    return write_scores(model.name, questions, [scores[file] for file in files])


def _key(model: LanguageModel, picture: Image.Image, questions: Sequence[str]) -> str:
    asked = hashlib.sha256("\n".join([model.key, *questions]).encode())
    asked.update(f"{picture.size}".encode() + picture.tobytes())
    return asked.hexdigest()[:32]


def _folder() -> Path:
    return Path(folder_paths.get_output_directory(), "fvg", "scores")


def _read(kept: Path) -> Score | None:
    """What was answered before; None where there is nothing, or something else."""
    try:
        _, (found,) = read_scores(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Score(tuple(found["answers"]))
