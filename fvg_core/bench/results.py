"""What a run on a ComfyUI server says and leaves: events, files, errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import HostError

Json = dict[str, Any]
Prompt = dict[str, Json]


class UnreachableError(HostError):
    """Nothing answers at the server's address."""


class RunError(HostError):
    """A node of a running prompt failed. `traceback` is the server's."""

    def __init__(self, message: str, node_id: str, node_type: str, traceback: str) -> None:
        super().__init__(message)
        self.node_id, self.node_type, self.traceback = node_id, node_type, traceback


class RejectedError(HostError):
    """The server refused the prompt before running it. `node_errors` is its own account."""

    def __init__(self, message: str, node_errors: Json) -> None:
        super().__init__(message)
        self.node_errors = node_errors


class InterruptedRunError(HostError):
    """The prompt was interrupted."""


@dataclass(frozen=True)
class Event:
    """Something the server said about our prompt: `kind` is its own word for it.

    `value` of `maximum` steps are set for kind "progress"; `preview` for kind "preview".
    """

    kind: str
    node: str | None = None
    value: float = 0
    maximum: float = 0
    data: Json = field(default_factory=dict)
    preview: bytes = b""


@dataclass(frozen=True)
class OutputFile:
    """A file that a node left on the server."""

    node: str
    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True)
class Result:
    """A finished prompt: what each output node reported, and the seconds it took here."""

    prompt_id: str
    outputs: dict[str, Json]
    cached: frozenset[str]
    seconds: float

    def files(self, node: str | None = None) -> list[OutputFile]:
        """The files that nodes saved, in the order of the graph; those of `node` if given."""
        return [
            OutputFile(name, item["filename"], item.get("subfolder", ""), item.get("type", ""))
            for name, output in self.outputs.items()
            if node in (None, name)
            for items in output.values()
            if isinstance(items, list)
            for item in items
            if isinstance(item, dict) and "filename" in item
        ]


def rejection(answer: Json) -> RejectedError:
    """The server's 400 as one readable error."""
    node_errors = answer.get("node_errors") or {}
    lines = [
        f"{report.get('class_type', '?')} (node {node}): {error.get('message', '')} "
        f"{error.get('details', '')}".strip()
        for node, report in node_errors.items()
        for error in report.get("errors", ())
    ]
    if not lines:
        error = answer.get("error") or {}
        error = error if isinstance(error, dict) else {"message": str(error)}
        lines = [f"{error.get('message', '')} {error.get('details', '')}".strip()]
    return RejectedError("ComfyUI refused the prompt: " + "; ".join(lines), node_errors)


def raise_failure(entry: Json) -> None:
    """Turn an unsuccessful history entry into the matching error."""
    messages = entry.get("status", {}).get("messages", ())
    for kind, data in messages:
        if kind == "execution_interrupted":
            raise InterruptedRunError("The run was interrupted.")
        if kind == "execution_error":
            node_id, node_type = str(data.get("node_id")), str(data.get("node_type"))
            text = str(data.get("exception_message", "")).strip()
            trace = "".join(data.get("traceback", ()))
            raise RunError(f"{node_type} (node {node_id}): {text}", node_id, node_type, trace)
    if entry.get("status", {}).get("status_str") == "error":
        raise HostError("The run failed, and the server's history does not say why.")
