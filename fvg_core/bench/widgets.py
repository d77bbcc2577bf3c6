"""Which widgets the frontend gives a node, read from the server's `/object_info`.

A workflow stores widget values as a bare list, so their order here must be the frontend's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import HostError

Json = dict[str, Any]

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
# fmt: off
WIDGET_TYPES = frozenset({
    "INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "MARKDOWN", "COLOR", "BOUNDING_BOX", "CHART",
    "GALLERIA", "PAINTER", "TEXTAREA", "CURVE", "RANGE", "BOUNDING_BOXES", "COLORS",
})
# fmt: on
# The frontend builds these from code of its own; /object_info does not say how many values.
BY_EXTENSION = frozenset({"LOAD_3D", "AUDIO_RECORD", "WEBCAM"})
UPLOAD_FLAGS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
EMPTY = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}


def widget_layout(info: Json, stored: Sequence[Any] | None = None) -> list[tuple[str, Any]]:
    """(name, value) of each place in `widgets_values`; places of no input have the name "".

    What `stored` lacks gets the type's default.
    """
    inputs = list(_inputs(info.get("input", {}), info.get("input_order")))
    return list(_take(inputs, iter(stored or ())))


def widget_values(info: Json, stored: Sequence[Any] | Json | None) -> Json:
    """The value of every widget of a node of type `info`, by input name.

    `stored` is the node's `widgets_values`, a list or, from some packs, a dict.
    """
    if isinstance(stored, dict):
        named = dict(widget_layout(info))
        return {name: stored.get(name, value) for name, value in named.items() if name}
    return {name: value for name, value in widget_layout(info, stored) if name}


@dataclass(frozen=True)
class Spec:
    """What a widget holds: `kind` is INT, FLOAT, BOOLEAN, STRING, COMBO or a rarer one."""

    kind: str
    options: Json
    choices: tuple[Any, ...] = ()


def widget_specs(info: Json, inputs: Json) -> dict[str, Spec]:
    """The widgets of a node of type `info`, by input name; `inputs` holds what it is set to."""
    return dict(_specs(_inputs(info.get("input", {}), info.get("input_order")), inputs))


def _specs(found: Iterator[tuple[str, Any, Json]], inputs: Json) -> Iterator[tuple[str, Spec]]:
    for name, kind, options in found:
        listed = tuple(kind) if isinstance(kind, list) else tuple(options.get("options") or ())
        kind = "COMBO" if isinstance(kind, list) else options.get("widgetType", kind)
        if kind == DYNAMIC_COMBO:
            choices = {choice["key"]: choice.get("inputs") or {} for choice in listed}
            yield name, Spec("COMBO", options, tuple(choices))
            below = _inputs(choices.get(inputs.get(name)) or {})
            yield from _specs(((f"{name}.{key}", *more) for key, *more in below), inputs)
        elif kind in WIDGET_TYPES and not options.get("forceInput"):
            yield name, Spec(kind, options, listed)


def _inputs(groups: Json, order: Json | None = None) -> Iterator[tuple[str, Any, Json]]:
    """(name, type, options) of each input: required ones first, in the order of the schema."""
    uploads = False
    for group in ("required", "optional"):
        specs = groups.get(group) or {}
        names = [n for n in (order or {}).get(group, ()) if n in specs]
        for name in [*names, *(n for n in specs if n not in names)]:
            spec = specs[name]
            options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            uploads = uploads or any(options.get(flag) for flag in UPLOAD_FLAGS)
            yield name, spec[0], options
        if group == "required" and uploads:
            yield "", "UPLOAD", {}  # the frontend's button; it stores a value of no use


def _take(
    inputs: Sequence[tuple[str, Any, Json]], queue: Iterator[Any]
) -> Iterator[tuple[str, Any]]:
    for name, kind, options in inputs:
        kind = "COMBO" if isinstance(kind, list) else options.get("widgetType", kind)
        if kind in BY_EXTENSION:
            raise HostError(
                f"Input {name!r} ({kind}) is drawn by an extension of the frontend, so its value "
                "cannot be read from a saved workflow. Export the workflow with Export (API)."
            )
        if kind == "UPLOAD":
            yield "", next(queue, None)
        elif kind == DYNAMIC_COMBO:
            yield from _take_dynamic(name, options, queue)
        elif kind in WIDGET_TYPES and not options.get("forceInput"):
            yield name, next(queue, _default(kind, options, inputs))
            for _ in range(_controls(name, kind, options)):
                yield "", next(queue, None)


def _take_dynamic(name: str, options: Json, queue: Iterator[Any]) -> Iterator[tuple[str, Any]]:
    """A combo whose choice brings further inputs, named `<combo>.<input>`."""
    choices = {choice["key"]: choice.get("inputs") or {} for choice in options["options"]}
    chosen = next(queue, next(iter(choices), None))
    yield name, chosen
    below = [(f"{name}.{key}", kind, more) for key, kind, more in _inputs(choices.get(chosen, {}))]
    yield from _take(below, queue)


def _controls(name: str, kind: str, options: Json) -> int:
    """How many control widgets follow ("randomize", and for combos a filter)."""
    control = options.get("control_after_generate")
    if kind == "INT":
        return int(bool(control if control is not None else name in ("seed", "noise_seed")))
    if kind == "COMBO" and control:
        return 2
    return 0


def _default(kind: str, options: Json, inputs: Sequence[tuple[str, Any, Json]]) -> Any:
    if "default" in options:
        return options["default"]
    if kind == "COMBO":
        choices = options.get("options") or next(
            (k for _, k, o in inputs if o is options and isinstance(k, list)), ()
        )
        return next(iter(choices), None)
    return EMPTY.get(kind)
