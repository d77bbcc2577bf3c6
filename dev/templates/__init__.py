"""The templates in workflows/, made from one description so that they stay alike.

`python -m dev templates` writes them anew, from the node types of a running ComfyUI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import parts
from .blueprint import NAME, build_blueprint
from .diagnosis import NAME as DIAGNOSIS
from .diagnosis import build_diagnosis
from .recipes import IMAGE_FILES, RECIPES, WRITER_FILE, Lora, Recipe
from .sheet import Box, Json, Sheet

__all__ = ["files"]


def files(info: Mapping[str, Json]) -> dict[str, str]:
    """What `python -m dev templates` writes: the text of each file, by its place in the pack."""
    made = {f"workflows/{recipe.name}.json": build(recipe, info) for recipe in RECIPES}
    made[f"workflows/{DIAGNOSIS}.json"] = build_diagnosis(info)
    made[f"subgraphs/{NAME}.json"] = build_blueprint(info)
    return {place: _as_text(workflow) for place, workflow in made.items()}


def build(recipe: Recipe, info: Mapping[str, Json]) -> Json:
    """The workflow of a recipe, for the node types in `info`."""
    sheet = Sheet(info)
    sheet.note(Box(0, 60, 430, 340), "Start here", _start(recipe))
    sheet.note(Box(0, 460, 430, 520), "Files", _files(recipe))
    prompts, right = parts.rewriter(sheet, 460, recipe)
    drawn, right = parts.draw(sheet, right + 30, recipe, prompts)
    chosen, right = parts.choose(sheet, right + 30, drawn, prompts)
    parts.animate(sheet, 460, 1010, recipe, prompts, chosen)
    return sheet.workflow(0.5, (60, 90))


def _as_text(workflow: Json) -> str:
    """A workflow as it lies in the repository."""
    return json.dumps(workflow, indent=1, ensure_ascii=False) + "\n"


def _start(recipe: Recipe) -> str:
    return f"""
# A video in four steps
{recipe.about.strip()}

1. **Prompt**: your video in plain words; it is rewritten into a description of the first frame.
2. **Anchor**: an image model draws that frame, four times.
3. **Choose**: you click the best one.
4. **Animate**: the video model moves it.

Press **Run**, then **click the picture you like**.
"""


def _files(recipe: Recipe) -> str:
    lines = ["Into ComfyUI's folder `models`:", "", "*Video*"]
    lines += [f"- `{file.folder}/{file.name}`" for file in recipe.spec.files]
    lines += ["", "*First frame*", *(f"- `{file.folder}/{file.name}`" for file in IMAGE_FILES)]
    if recipe.language_model:
        lines += ["", "*Prompt*", f"- `{WRITER_FILE.folder}/{WRITER_FILE.name}`"]
    return "\n".join([*lines, "", *_about_loras(recipe)])


def _about_loras(recipe: Recipe) -> list[str]:
    if not recipe.loras:
        return ["No LoRA is needed."]
    return [
        "**Train this LoRA first**: none is public that teaches this model what a clean frame is. "
        "With the pack's folder as the current one:",
        "",
        *(_training(lora) for lora in recipe.loras),
        "",
        "The config says how much memory that takes; the node *LoRA Trainer* does the same in the "
        "editor. To try the graph before that, bypass the LoRA (Ctrl+B): the frame is held, but "
        "what follows will not fit it.",
    ]


def _training(lora: Lora) -> str:
    return (
        f"- `python -m fvg_core train fvg_core/train/configs/{lora.config}.toml "
        f"--out runs/{lora.name}`, then copy `runs/{lora.name}/{lora.file}` to `models/loras`"
    )
