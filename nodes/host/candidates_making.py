"""Makes the candidates that are not on disk yet, one file after the other."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
import latent_preview
from comfy.cli_args import args
from torch import Tensor

from ...fvg_core.image import sources, store
from .candidates import Candidates, note_handed_out, picture_folder
from .drawing import Draw, draws_in_batches, with_model, with_pipeline
from .notices import tell
from .pictures import fit


def make_candidates(
    hidden, wanted: Candidates, inputs: Mapping[str, Any]
) -> tuple[Tensor, Candidates]:
    """All candidates [B, H, W, 3] as they stand on disk, once the missing ones are made.

    With progress and previews; the host can interrupt it, and what is done by then stays.
    `inputs` of the node: model, clip and vae, or pictures (a list of IMAGE), and batch.
    """
    own = wanted.source in (sources.PICTURES, sources.FOLDER)
    missing = wanted.missing()
    found = len(wanted.files) - len(missing)
    if own and (missing or not wanted.files):
        wanted = _keep(hidden, wanted, inputs.get("pictures"))
    elif missing:
        _draw(hidden, wanted, missing, inputs)
    tell(hidden.unique_id, f"{len(wanted.files)} candidates, {found} of them found on disk")
    note_handed_out(hidden.unique_id, wanted)
    return store.read_pictures(wanted.paths), wanted


def _keep(hidden, wanted: Candidates, pictures: Sequence[Tensor] | None) -> Candidates:
    """Own pictures, fitted to the size that is asked for. Returns them with their number."""
    if wanted.source == sources.FOLDER:
        folder = picture_folder(wanted.recipe["picture_folder"])
        pictures = [store.read_picture(path)[None] for path in sources.list_pictures(folder)]
    given = [picture for several in pictures for picture in several.split(1)]
    sources.check_count(len(given), "the input pictures")
    wanted = wanted.with_pictures(len(given))
    _write_recipe(wanted)
    size = (wanted.settings["width"], wanted.settings["height"], wanted.settings["fit"])
    for i in wanted.missing():
        _write(hidden, wanted, i, fit(given[i], *size)[0])
    return wanted


def _draw(hidden, wanted: Candidates, missing: list[int], inputs: Mapping[str, Any]) -> None:
    together = draws_in_batches(wanted.settings.get("sampler_name"))
    batch = inputs.get("batch", 1) if together else 1
    places: dict[int, int] = {}  # one for each seed, should a seed be asked for twice
    for i in missing:
        places.setdefault(wanted.seeds[i], i)
    with _drawing(wanted, inputs) as draw:
        _write_recipe(wanted)
        waiting = list(places)
        progress = _Progress(hidden, wanted, len(waiting))
        while waiting:
            group = waiting[:batch]
            progress.start([places[seed] for seed in group])
            pictures = _draw_or_too_large(draw, group, progress)
            if pictures is None:
                batch = len(group) // 2
                continue
            for seed, picture in zip(group, pictures, strict=True):
                _write(hidden, wanted, places[seed], picture, seed=seed)
                progress.finish(picture)
            waiting = waiting[len(group) :]


def _drawing(wanted: Candidates, inputs: Mapping[str, Any]):
    if wanted.source == sources.PIPELINE:
        return with_pipeline(wanted.recipe["pipeline"], **wanted.settings)
    models = {name: inputs[name] for name in sources.MODELS}
    return contextlib.nullcontext(with_model(**models, **wanted.settings))


def _draw_or_too_large(draw: Draw, seeds: list[int], progress: _Progress) -> Tensor | None:
    """Pictures of these seeds, or None where they do not fit the memory at once."""
    try:
        return draw(seeds, progress.step)
    except Exception as error:
        if len(seeds) == 1 or not comfy.model_management.is_oom(error):
            raise
    comfy.model_management.soft_empty_cache()
    return None


def _write_recipe(wanted: Candidates) -> None:
    if store.read_recipe(wanted.folder) != wanted.recipe:
        store.write_recipe(wanted.folder, wanted.recipe)


def _write(hidden, wanted: Candidates, i: int, picture: Tensor, **more: Any) -> None:
    texts = {} if args.disable_metadata else _texts(hidden, {**wanted.recipe, **more})
    store.write_picture(wanted.paths[i], picture, texts)


def _texts(hidden, recipe: Mapping[str, Any]) -> dict[str, str]:
    """What the host's SaveImage writes into a picture, so that dropping it brings the workflow
    back; and our own recipe."""
    everything = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {}), "fvg": recipe}
    return {name: json.dumps(value) for name, value in everything.items()}


class _Progress:
    """Steps of all candidates together, which one is drawn, and each one as it is finished."""

    def __init__(self, hidden, wanted: Candidates, count: int) -> None:
        self._hidden, self._of = hidden, len(wanted.files)
        self._steps = wanted.settings["steps"]
        self._bar = comfy.utils.ProgressBar(count * self._steps)
        self._done, self._group = 0, 1

    def start(self, places: list[int]) -> None:
        self._group = len(places)
        numbers = ", ".join(str(place + 1) for place in places)
        tell(self._hidden.unique_id, f"candidate {numbers} of {self._of}")

    def step(self, step: int, preview: tuple | None = None) -> None:
        done = self._done * self._steps + step * self._group
        self._bar.update_absolute(done, preview=preview)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def finish(self, picture: Tensor) -> None:
        self._done += 1
        shown = ("JPEG", store.to_pil(picture), latent_preview.MAX_PREVIEW_RESOLUTION)
        self._bar.update_absolute(self._done * self._steps, preview=shown)
