"""Widgets of a prompt by the title of their node ("Negative Prompt.text"), and their values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import BatchError
from .results import Json, Prompt
from .widgets import Spec, widget_specs

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Edit:
    """A widget of node `node` gets `value`."""

    node: str
    widget: str
    value: Any


def parse_setting(text: str) -> tuple[str, str]:
    """(address, value) of a --set; the value may hold further signs of equality."""
    address, sign, value = text.partition("=")
    if not sign or "." not in address.strip(" ."):
        raise BatchError(
            f'--set {text!r} is not understood. Expected "Node title.widget=value", for example '
            '--set "Anchored Wan Sampler.steps=15".'
        )
    return address.strip(), value


class Widgets:
    """The widgets of `prompt` and where they are: by title, class or id (`#5.text`)."""

    def __init__(self, prompt: Prompt, info: dict[str, Json]) -> None:
        self.prompt = prompt
        self.specs = {
            number: widget_specs(info[node["class_type"]], node["inputs"])
            for number, node in prompt.items()
        }
        self.places: dict[str, list[tuple[str, str]]] = {}
        self.titled: list[str] = []  # what a person is most likely to have meant
        for number, node in prompt.items():
            title = node.get("_meta", {}).get("title") or node["class_type"]
            for widget in self.specs[number]:
                self.titled.append(f"{title}.{widget}")
                for label in dict.fromkeys((title, node["class_type"], f"#{number}")):
                    self.places.setdefault(f"{label}.{widget}".casefold(), []).append(
                        (number, widget)
                    )

    def find(self, address: str) -> tuple[str, str]:
        """(node id, widget) of an address, or a BatchError that names the nearest ones."""
        found = self.places.get(address.casefold(), [])
        if not found:
            raise BatchError(
                f"The template has no widget {address!r}. {nearest(address, self.titled)}"
            )
        if len(found) > 1:
            which = ", ".join(f"#{number}.{widget}" for number, widget in found)
            raise BatchError(f"{address!r} fits {len(found)} widgets; name one by id: {which}.")
        number, widget = found[0]
        if self.linked(number, widget):
            raise BatchError(
                f"{address!r} is fed by another node, so its value cannot be set. Set that node, "
                "or take the link out of the template."
            )
        return number, widget

    def linked(self, number: str, widget: str) -> bool:
        """Whether another node feeds the widget."""
        value = self.prompt[number]["inputs"].get(widget)
        return isinstance(value, list) and len(value) == 2 and value[0] in self.prompt

    def edit(self, address: str, value: Any) -> Edit:
        """The edit that an address and a value (text, or what JSON gave) stand for."""
        return self.edit_at(*self.find(address), value)

    def edit_at(self, number: str, widget: str, value: Any) -> Edit:
        title = self.prompt[number].get("_meta", {}).get("title") or number
        return Edit(number, widget, checked(value, self.specs[number][widget], f"{title}.{widget}"))


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint that names what is spelled most like `given`."""
    by_fold = {name.casefold(): name for name in known}
    near = get_close_matches(given.casefold(), by_fold, 3, 0.4)
    listed = [by_fold[name] for name in near] or sorted(by_fold.values())[:8]
    return f"{'Nearest' if near else 'It has'}: {', '.join(map(repr, listed))}."


def checked(value: Any, spec: Spec, where: str) -> Any:
    """`value` as a widget of this kind holds it, or a BatchError that says what fits."""
    if spec.kind == "COMBO":
        return _choice(value, spec, where)
    if spec.kind == "BOOLEAN":
        text = str(value).strip().casefold()
        if text not in TRUE + FALSE:
            raise BatchError(f"{where} is {value!r}; expected true or false.")
        return text in TRUE
    if spec.kind in ("INT", "FLOAT"):
        return _number(value, spec, where)
    if isinstance(value, str) or spec.kind == "STRING":
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False)
        return value
    raise BatchError(f"{where} takes text; {value!r} was given.")


def _choice(value: Any, spec: Spec, where: str) -> Any:
    for option in spec.choices:
        if option == value or str(option) == str(value):
            return option
    if not spec.choices:  # filled by the frontend; the server decides
        return value
    raise BatchError(f"{where} has no {value!r}. {nearest(str(value), map(str, spec.choices))}")


def _number(value: Any, spec: Spec, where: str) -> int | float:
    whole = spec.kind == "INT"
    try:
        if isinstance(value, bool):
            raise ValueError
        number = (int if whole and not isinstance(value, float) else float)(value)
        if not math.isfinite(number) or (whole and number != int(number)):
            raise ValueError
        number = int(number) if whole else number
    except (TypeError, ValueError, OverflowError):
        kind = "a whole number" if whole else "a number"
        raise BatchError(f"{where} is {value!r}; expected {kind}.") from None
    low, high = spec.options.get("min"), spec.options.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        raise BatchError(f"{where} is {value!r}; expected {low} to {high}.")
    return number
