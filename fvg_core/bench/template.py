"""A template and what a batch changes in it: one finished graph for each prompt and seed."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BatchError, HostError
from .address import Edit, Widgets
from .given import GENERATOR, INJECTOR, PICKER, REWRITER, give_picture
from .graph import upstream
from .modes import FVG, T2V, without_anchors
from .prompt_list import Entry
from .results import Json, Prompt
from .widgets import widget_layout
from .workflow import to_prompt

SIZED = (GENERATOR, INJECTOR)
SEEDS = ("seed", "noise_seed")
UNSEEDED = (REWRITER, PICKER)  # --seeds varies pictures and videos of one first-frame prompt


@dataclass(frozen=True)
class Work:
    """One graph to run. `key` is a hash of what it computes, so equal work has equal keys.

    `uploads` are (name in the server's input folder, file here).
    """

    key: str
    entry: Entry
    seed: int | None
    prompt: Prompt
    workflow: Json | None
    uploads: tuple[tuple[str, Path], ...] = ()


class Template:
    """A workflow (`workflow`, where the file was one) and the API prompt it stands for.

    `mode` is what its works are: with anchors, or plain text-to-video (modes.py).
    """

    def __init__(
        self,
        prompt: Prompt,
        workflow: Json | None,
        info: dict[str, Json],
        prompt_to: str | None = None,
        mode: str = FVG,
    ) -> None:
        self.prompt, self.workflow, self.info, self.mode = prompt, workflow, info, mode
        self.widgets = Widgets(prompt, info)
        self.prompt_at = self._prompt_place(prompt_to)

    @classmethod
    def load(
        cls,
        path: Path,
        info: dict[str, Json],
        settings: Iterable[tuple[str, Any]] = (),
        prompt_to: str | None = None,
        *,
        mode: str = FVG,
    ) -> Template:
        """The template of a file in either format, with --set applied.

        A picker that would wait for a click takes the first picture, unless it is set.
        """
        data = _read(path)
        workflow = data if isinstance(data.get("nodes"), list) else None
        prompt = to_prompt(data, info) if workflow else _api_prompt(data, info, path)
        blank = cls(prompt, workflow, info, prompt_to, mode)
        chosen = [blank.widgets.edit(address, value) for address, value in settings]
        waiting = [
            Edit(number, "policy", "first")
            for number, node in prompt.items()
            if node["class_type"] == PICKER and node["inputs"].get("policy") == "stop"
        ]
        return blank._edited([*waiting, *chosen], prompt_to)

    def _edited(self, edits: Sequence[Edit], prompt_to: str | None) -> Template:
        workflow = copy.deepcopy(self.workflow)
        if workflow is not None:
            set_in_workflow(workflow, self.info, edits)
        prompt = set_in_prompt(self.prompt, edits)
        return Template(prompt, workflow, self.info, prompt_to, self.mode)

    def _prompt_place(self, address: str | None) -> tuple[str, str]:
        if address is not None:
            return self.widgets.find(address)
        found = [
            (number, "prompt")
            for number in self._of(REWRITER)
            if not self.widgets.linked(number, "prompt")
        ]
        if len(found) != 1:
            raise BatchError(
                f"The template has {len(found)} First-Frame Prompt Rewriters with a prompt of "
                'their own. Say where the prompts belong: --prompt-to "Node title.widget".'
            )
        return found[0]

    def _of(self, *kinds: str) -> Iterator[str]:
        return (n for n, node in self.prompt.items() if node["class_type"] in kinds)

    @property
    def asks(self) -> bool:
        """Whether a language model rewrites the prompts."""
        rewriters = self._of(REWRITER) if self.mode != T2V else ()
        return any(self.prompt[n]["inputs"].get("backend") != "rules" for n in rewriters)

    @property
    def draws(self) -> bool:
        """Whether candidates are drawn and one is picked."""
        pickers = self._of(PICKER) if self.mode == FVG else ()
        drawn = {number for picker in pickers for number in upstream(self.prompt, picker)}
        return any(number in drawn for number in self._of(GENERATOR))

    def edits(self, entry: Entry, seed: int | None) -> list[Edit]:
        """What an entry changes, each value checked; BatchError where the template cannot."""
        found = [self.widgets.edit_at(*self.prompt_at, entry.prompt)]
        if seed is not None:
            found += self._everywhere("seed", self._seed_places(), seed)
        if entry.variation:
            found += self._reworded(entry.variation)
        if entry.negative is not None:
            found += self._everywhere("negative", self._negative_places(), entry.negative)
        if entry.size is not None:
            for name, pixels in zip(("width", "height"), entry.size, strict=True):
                found += self._everywhere("size", self._size_places(name), pixels)
        found += [self.widgets.edit(address, value) for address, value in entry.settings]
        used = entry.anchor is not None and self.mode == FVG
        if used and len(list(self._of(INJECTOR))) != 1:
            raise BatchError("An anchor of one's own needs exactly one Anchor Latent Injector.")
        return found

    def _everywhere(
        self, what: str, places: Iterable[tuple[str, str]], value: Any
    ) -> Iterator[Edit]:
        places = [place for place in places if not self.widgets.linked(*place)]
        if not places:
            raise BatchError(
                f"The template has no place for a {what}: no widget of that meaning is free. "
                "Leave it out, or name a widget with --set."
            )
        return (self.widgets.edit_at(*place, value) for place in places)

    def _seed_places(self) -> Iterator[tuple[str, str]]:
        for number, node in self.prompt.items():
            if node["class_type"] not in UNSEEDED:
                yield from ((number, n) for n in SEEDS if n in self.widgets.specs[number])

    def _reworded(self, variation: int) -> Iterator[Edit]:
        """Other seeds of the rewriters: each words the first frame anew."""
        places = [(n, "seed") for n in self._of(REWRITER) if not self.widgets.linked(n, "seed")]
        if not places:
            raise BatchError("--variations needs a First-Frame Prompt Rewriter with a free seed.")
        seeds = (int(self.prompt[number]["inputs"].get("seed", 0)) for number, _ in places)
        return (
            self.widgets.edit_at(*place, seed + variation)
            for place, seed in zip(places, seeds, strict=True)
        )

    def _negative_places(self) -> Iterator[tuple[str, str]]:
        """Text widgets of the nodes that feed an input called "negative"."""
        for number in dict.fromkeys(
            link[0]
            for node in self.prompt.values()
            if isinstance(link := node["inputs"].get("negative"), list) and link[0] in self.prompt
        ):
            if "text" in self.widgets.specs[number]:
                yield number, "text"

    def _size_places(self, name: str) -> Iterator[tuple[str, str]]:
        for number, node in self.prompt.items():
            kind = node["class_type"]
            empty = kind.startswith("Empty") and "Latent" in kind
            if (kind in SIZED or empty) and name in self.widgets.specs[number]:
                yield number, name

    def work(self, entry: Entry, seed: int | None) -> Work:
        """The graph of one entry and seed."""
        edits = self.edits(entry, seed)
        prompt = set_in_prompt(self.prompt, edits)
        if self.mode != FVG:
            prompt = without_anchors(prompt, self.mode, self.info)
            return Work(work_key(prompt), entry, seed, prompt, None)
        workflow = copy.deepcopy(self.workflow)
        if workflow is not None:
            set_in_workflow(workflow, self.info, edits)
        uploads: tuple[tuple[str, Path], ...] = ()
        if entry.anchor is not None:
            name = _upload_name(entry.anchor)
            (injector,) = self._of(INJECTOR)
            prompt, workflow = give_picture(prompt, workflow, injector, name)
            uploads = ((name, entry.anchor),)
        return Work(work_key(prompt), entry, seed, prompt, workflow, uploads)


def work_key(prompt: Prompt) -> str:
    """A hash of what a prompt computes; titles do not count."""
    said = {n: {"class_type": d["class_type"], "inputs": d["inputs"]} for n, d in prompt.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _upload_name(picture: Path) -> str:
    try:
        content = picture.read_bytes()
    except OSError as error:
        raise BatchError(f"{picture} cannot be read: {error.strerror}.") from error
    return f"fvg-anchor-{hashlib.sha256(content).hexdigest()[:16]}{picture.suffix.lower()}"


def _read(path: Path) -> Json:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BatchError(f"The template {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BatchError(f"The template {path} is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise BatchError(f"The template {path} is not a workflow. Save it in ComfyUI.")
    return data


def _api_prompt(data: Json, info: dict[str, Json], path: Path) -> Prompt:
    nodes = list(data.values())
    if not nodes or not all(isinstance(n, dict) and "class_type" in n for n in nodes):
        raise BatchError(
            f"The template {path} is neither a saved workflow (a list of nodes) nor one exported "
            "for the API (an object of nodes with class_type)."
        )
    missing = sorted({node["class_type"] for node in nodes} - set(info))
    if missing:
        raise HostError(
            f"This ComfyUI does not have {', '.join(missing)}. Install the pack they come from."
        )
    return {
        number: {
            "inputs": node.get("inputs", {}),
            "class_type": node["class_type"],
            "_meta": {
                "title": node.get("_meta", {}).get("title")
                or info[node["class_type"]].get("display_name")
                or node["class_type"]
            },
        }
        for number, node in data.items()
    }


def set_in_prompt(prompt: Prompt, edits: Iterable[Edit]) -> Prompt:
    """A copy of `prompt` with the edits made; later ones win."""
    edited = {number: {**node, "inputs": dict(node["inputs"])} for number, node in prompt.items()}
    for edit in edits:
        edited[edit.node]["inputs"][edit.widget] = edit.value
    return edited


def set_in_workflow(workflow: Json, info: dict[str, Json], edits: Iterable[Edit]) -> None:
    """Make the edits in the saved form too. Nodes in subgraphs keep what the template says: one
    definition may serve several of them (the API prompt in the file has the true values)."""
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    for edit in edits:
        node = nodes.get(edit.node)
        if node is None:
            continue
        stored = node.get("widgets_values")
        if isinstance(stored, dict):
            stored[edit.widget] = edit.value
            continue
        layout = widget_layout(info[node["type"]], stored)
        node["widgets_values"] = [
            edit.value if name == edit.widget else value for name, value in layout
        ]
