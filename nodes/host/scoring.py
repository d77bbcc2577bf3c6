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

from ...fvg_core.errors import AnchorError
from ...fvg_core.files import write_whole
from ...fvg_core.image.scoring import (
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
        kept = _folder() / f"{_key(model, pictures, questions)}.json"
        return _read(kept) or _ask(model, pictures, questions, kept), None


def _by_eye(pictures: Sequence[Image.Image], report: str) -> tuple[str, str | None]:
    from ...fvg_core.image.tiny_scoring import questions, tiny_scores, wanted

    prompt, note = wanted(report)
    if prompt is None:
        return write_scores(TINY, [], [], note), note
    return write_scores(TINY, list(questions(prompt)), tiny_scores(pictures, prompt)), None


def _ask(
    model: LanguageModel, pictures: Sequence[Image.Image], questions: Sequence[str], kept: Path
) -> str:
    """Asking takes a while, and the host forgets: what was answered is kept."""
    bar = comfy.utils.ProgressBar(len(pictures))
    scores = []
    for one in ask(
        model, pictures, questions, comfy.model_management.throw_exception_if_processing_interrupted
    ):
        scores.append(one)
        bar.update(1)
    text = write_scores(model.name, questions, scores)
    write_whole(kept, text.encode())
    return text


def _key(model: LanguageModel, pictures: Sequence[Image.Image], questions: Sequence[str]) -> str:
    asked = hashlib.sha256("\n".join([model.key, *questions]).encode())
    for picture in pictures:
        asked.update(f"{picture.size}".encode() + picture.tobytes())
    return asked.hexdigest()[:32]


def _folder() -> Path:
    return Path(folder_paths.get_output_directory(), "fvg", "scores")


def _read(kept: Path) -> str:
    """What was answered before; "" where there is nothing, or something else."""
    try:
        text = kept.read_text(encoding="utf-8")
        read_scores(text)
    except (OSError, ValueError, AnchorError):
        return ""
    return text
