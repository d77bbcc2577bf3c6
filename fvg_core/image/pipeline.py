"""Image pipelines as diffusers saves them: a folder with model_index.json.

The folder is somebody else's work, so nothing in it is run: only classes of diffusers and
transformers, only safetensors, no Python files.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import SizeError, WeightsError

INDEX = "model_index.json"
_PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
# What the guidance scale is called where `guidance_scale` is something else (diffusers 0.42).
_GUIDANCE = {"QwenImagePipeline": "true_cfg_scale"}


def list_pipelines(roots: Iterable[Path]) -> dict[str, Path]:
    """Pipeline folders, at most two levels below the roots, by their relative names."""
    found: dict[str, Path] = {}
    for root in roots:
        for index in sorted([*root.glob(f"*/{INDEX}"), *root.glob(f"*/*/{INDEX}")]):
            found.setdefault(index.parent.relative_to(root).as_posix(), index.parent)
    return found


def load_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline, on the CPU. Raises WeightsError for a folder that is damaged or not safe."""
    import diffusers

    _check(folder)
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            str(folder), torch_dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # diffusers raises whatever its many loaders raise
        raise WeightsError(
            f"the pipeline {folder.name} cannot be loaded ({type(error).__name__}: {error}). "
            "Download it again, whole and with safetensors weights."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _check(folder: Path) -> None:
    import diffusers

    name = folder.name
    if not folder.is_dir():
        raise WeightsError(f"there is no pipeline folder {name}; put one into models/diffusers.")
    files = [path for path in folder.rglob("*") if path.is_file()]
    if code := [path.name for path in files if path.suffix == ".py"]:
        raise WeightsError(
            f"the pipeline {name} brings its own code ({code[0]}), which is not run here. Use a "
            "pipeline of diffusers itself."
        )
    if not any(path.suffix == ".safetensors" for path in files):
        pickled = next((path.name for path in files if path.suffix in _PICKLED), "none at all")
        raise WeightsError(
            f"the pipeline {name} holds no safetensors weights (found: {pickled}). Only "
            "safetensors are loaded, because other formats can run code; download that variant."
        )
    index = _read_index(folder)
    kind = index.get("_class_name")
    if not (isinstance(kind, str) and hasattr(diffusers, kind) and kind.endswith("Pipeline")):
        raise WeightsError(
            f"the pipeline {name} is a {kind!r}, which this diffusers ({diffusers.__version__}) "
            "does not have. Update diffusers, or use a text-to-image pipeline that it has."
        )
    for part, source in index.items():
        if not part.startswith("_") and isinstance(source, list) and not _known(source[0]):
            raise WeightsError(
                f"the pipeline {name} takes its {part} from {source[0]!r}; only diffusers and "
                "transformers are used. Use a pipeline without parts of other packages."
            )


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_bytes())
        if isinstance(index, dict):
            return index
        reason = "it is not a JSON object"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise WeightsError(
        f"{INDEX} of the pipeline {folder.name} cannot be read ({reason}). Download it again."
    )


def _known(library: Any) -> bool:
    import diffusers.pipelines

    if library in (None, "diffusers", "transformers"):
        return True
    return isinstance(library, str) and hasattr(diffusers.pipelines, library)


def weight_bytes(pipeline: Any) -> int:
    """Memory of all its weights."""
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(
        tensor.numel() * tensor.element_size()
        for part in parts
        for tensor in [*part.parameters(), *part.buffers()]
    )


def draw(
    pipeline: Any,
    prompt: str,
    negative: str,
    *,
    width: int,
    height: int,
    seeds: Sequence[int],
    steps: int,
    cfg: float,
    on_step: Callable[[int], None],
) -> Tensor:
    """Pictures [len(seeds), height, width, 3] in [0, 1], each with the noise of its own seed.

    `on_step` is told the number of steps done; what it raises ends the drawing. Raises SizeError.
    """
    taken = inspect.signature(pipeline.__call__).parameters
    if "prompt" not in taken:
        raise WeightsError(
            f"{type(pipeline).__name__} does not draw from a prompt. Use a text-to-image pipeline."
        )

    def told(pipe: Any, step: int, timestep: Any, tensors: dict) -> dict:
        on_step(step + 1)
        return tensors

    count = len(seeds)
    wanted = {
        "prompt": [prompt] * count,
        "negative_prompt": [negative] * count,
        "width": width,
        "height": height,
        "num_inference_steps": steps,
        _GUIDANCE.get(type(pipeline).__name__, "guidance_scale"): cfg,
        "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        "output_type": "np",
        "callback_on_step_end": told,
    }
    made = pipeline(**{name: value for name, value in wanted.items() if name in taken}).images
    pictures = torch.as_tensor(made).float()
    if pictures.shape != (count, height, width, 3):
        raise SizeError(
            f"{type(pipeline).__name__} made {list(pictures.shape[1:3])} pixels (height, width) "
            f"instead of {[height, width]}. Use a width and height that it can draw, most often "
            "multiples of 16 or 32."
        )
    return pictures
