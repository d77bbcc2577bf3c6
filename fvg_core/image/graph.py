"""What a node of a graph depends on, as one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Graph = Mapping[str, Mapping[str, Any]]  # ComfyUI's API format: {id: {class_type, inputs}}


def graph_hash(
    graph: Graph,
    node_id: str,
    *,
    of: str | None = None,
    stamp: Callable[[str], str] = lambda text: "",
    files_of: Callable[[str], str] = lambda class_type: "",
    made_by: Callable[[str, str], str] = lambda name, key: "",
    ignored: Mapping[str, frozenset[str]] | None = None,
) -> str:
    """SHA-256 (hex) of a node, or of its input `of` alone, with everything upstream.

    Class types, widgets and links count; ids, titles and the order of inputs do not, nor do the
    inputs that `ignored` names by class type. `stamp` says what a text in a widget stands for
    besides itself, such as the state of the file of that name; `files_of` says it of a class;
    and `made_by`, of a node and the hash of all this, what came out of it that does not follow.
    """
    known: dict[str, str] = {}

    def described(name: str) -> Any:
        class_type = (graph.get(name) or {}).get("class_type", "")
        skipped = (ignored or {}).get(class_type, ())
        given = {key: value(v) for key, v in _inputs(graph, name).items() if key not in skipped}
        return [class_type, files_of(class_type), given]

    def value(v: Any) -> Any:
        if is_link(v):  # the host refuses cycles; a hash must still come to an end
            return ["link", known.get(v[0], "cycle"), int(v[1])]
        return ["value", _plain(v), [s for text in _texts(v) if (s := stamp(text))]]

    asked = [node_id, 0] if of is None else _inputs(graph, node_id).get(of)
    if is_link(asked):
        for name in _sources_first(graph, asked[0]):
            key = _sha(described(name))
            made = made_by(name, key)
            known[name] = _sha([key, made]) if made else key
    return known[node_id] if of is None else _sha(value(asked))


def _inputs(graph: Graph, name: str) -> Mapping[str, Any]:
    return (graph.get(name) or {}).get("inputs") or {}


def _sources_first(graph: Graph, name: str) -> Iterator[str]:
    """A node and all upstream of it, each after those that it depends on. No recursion: chains
    of nodes may be long."""
    done: set[str] = set()
    entered: set[str] = set()
    path = [name]
    while path:
        top = path[-1]
        entered.add(top)
        sources = [v[0] for v in _inputs(graph, top).values() if is_link(v)]
        waiting = [source for source in sources if source not in entered]
        path += waiting
        if not waiting:
            path.pop()
            if top not in done:
                done.add(top)
                yield top


def upstream_texts(graph: Graph, node_id: str, *, of: str) -> Iterator[str]:
    """Every text in a widget that an input of a node depends on, in no order."""
    seen: set[str] = set()
    waiting = [_inputs(graph, node_id).get(of)]
    while waiting:
        value = waiting.pop()
        if not is_link(value):
            yield from _texts(value)
        elif value[0] not in seen:
            seen.add(value[0])
            waiting += _inputs(graph, value[0]).values()


def is_link(value: Any) -> bool:
    """Whether an input is an output of another node ([id, slot]) rather than a widget's value."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
    )


def _sha(described: Any) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The same for 3 and 3.0: a browser writes the one for the other."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
