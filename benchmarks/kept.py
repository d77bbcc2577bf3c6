"""Rows of a run that goes on: kept as they come, in a file that begins with what made them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from dev.host import PACK
from dev.recipe import WEIGHTS, weight_hashes
from fvg_core.errors import BatchError
from fvg_core.files import write_whole

MAKERS = ("fvg_core", "nodes", "benchmarks/packs")  # of every row
SOURCES = (".py", ".txt")  # the rewriter's words and instructions are text


def made_with(machine: dict[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """What changes rows, or the seconds beside them, apart from settings. machine: as `describe`
    gives it; own: sources of the benchmark itself, by their paths in the pack."""
    return {
        "weights": weight_hashes(WEIGHTS),
        "code": code_hash(PACK, [*MAKERS, *own]),
        "comfyui": machine["comfyui"],
        "torch": machine["torch"],
        "cpu": machine["cpu"],
        "gpu": machine["gpu"],
    }


def code_hash(root: Path, names: Iterable[str]) -> str:
    """SHA-256 of the sources among files and folders of `root`, with their paths."""
    found = {path for name in names for path in (root / name, *(root / name).rglob("*"))}
    whole = sha256()
    for path in sorted(path for path in found if path.suffix in SOURCES):
        content = sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(root).as_posix()}\n{content}\n".encode())
    return whole.hexdigest()


def require_head(path: Path, found: dict[str, Any], head: dict[str, Any]) -> None:
    """Raises BatchError where a file was begun with something else than `head`."""
    others = [name for name in head if found.get(name) != head[name]]
    if others:
        before, now = ({name: of.get(name) for name in others} for of in (found, head))
        raise BatchError(
            f"{path} was begun with another {', '.join(others)}: {json.dumps(before)}; now it is "
            f"{json.dumps(now)}. Go on with the former, move the folder away, or name another one "
            "with --out."
        )


def known_rows(path: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The whole rows of a file, which is begun where there is none; half a row, which a kill
    leaves, is dropped. Raises BatchError for rows of another head."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = text.split("\n")[:-1] or [json.dumps(head)]
    require_head(path, json.loads(lines[0]), head)
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return [json.loads(line) for line in lines[1:]]
