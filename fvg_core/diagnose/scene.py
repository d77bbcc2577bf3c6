"""A prompt as the exact checker of the tiny world understands it."""

from __future__ import annotations

from ..errors import PromptError
from ..prompts.tiny_world import Shape, read_scene
from ..tiny.world import COLORS, FRAMES, GROUNDS, MOTIONS, SHAPES, SIZE, Scene, Thing

_KNOWN = (
    f"one or two of a {'/'.join(COLORS)} {'/'.join(SHAPES)}, in different colours, that each move "
    "left, right, up or down or stay still"
)


def checked_scene(prompt: str) -> Scene:
    """The words of a prompt that can be judged exactly; places are left open.

    Raises PromptError for anything beyond the tiny world.
    """
    read = read_scene(prompt)
    things = [_thing(shape) for shape in read.shapes] if read else []
    colors = {t.color for t in things if t}
    complete = len(colors) == len(things) and len(read.removed if read else ()) == len(things)
    if not (1 <= len(things) <= 2 and complete):
        raise PromptError(
            f"{prompt[:80]!r} cannot be judged exactly: the checker knows {_KNOWN}. For example: "
            '"a red circle moves right and a blue square stays still".'
        )
    return Scene(tuple(things), next(iter(GROUNDS)))


def _thing(shape: Shape) -> Thing | None:
    motion = f"moves {shape.heading}" if shape.heading else "stays still" if shape.still else ""
    single = shape.article in ("a", "an", "the", "one") and len(shape.attributes) == 1
    if not single or shape.noun not in SHAPES or motion not in MOTIONS:
        return None
    (color,) = shape.attributes
    middle = SIZE / 2
    return Thing(color, shape.noun, motion, middle, middle, 0, FRAMES) if color in COLORS else None
