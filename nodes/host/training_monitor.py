"""What the page shows of a training run: an event now and then, and a file for later."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ...fvg_core.errors import TrainingError
from ...fvg_core.files import write_whole
from ...fvg_core.train.curve import smooth
from .training_place import place_of

_EVENT = "fvg.training"
_FILE = "progress.json"
_POINTS = 200  # of the curve
_EVENT_S, _FILE_S = 0.25, 2.0  # at most so often
_RATE_STEPS = 20  # the speed is a mean over the last so many


def run_state(name: str, folder: Path, history: Sequence[dict], steps: int) -> dict:
    """All that the page needs to draw a run: plain values, the same in events and in the file."""
    last = history[-1] if history else {}
    recent = [h["seconds"] for h in history[-_RATE_STEPS:]]
    pace = sum(recent) / len(recent) if recent else 0.0  # seconds a step
    done = last.get("step", 0)
    measured = [h for h in history if h.get("held_out")]
    raw = [h["loss"] for h in history]
    shown, smoothed = _thinned(len(raw)), smooth(raw)
    return {
        "lora_name": name,
        "step": done,
        "steps": steps,
        "loss": last.get("loss"),
        "it_per_second": 1 / pace if pace else None,
        "eta_seconds": pace * max(0, steps - done),
        "held_out": measured[-1]["held_out"] if measured else None,
        "curve": {
            "steps": [history[i]["step"] for i in shown],
            "loss": [raw[i] for i in shown],
            "smooth": [smoothed[i] for i in shown],
            "held_out": [
                {"step": measured[i]["step"], **measured[i]["held_out"]}
                for i in _thinned(len(measured))
            ],
        },
        "samples": [file_of(path) for path in _latest(folder)],
        "warnings": [],
    }


def _thinned(count: int) -> list[int]:
    """At most _POINTS indices of `count`, evenly spread, the first and the last among them."""
    if count <= _POINTS:
        return list(range(count))
    return [round(i * (count - 1) / (_POINTS - 1)) for i in range(_POINTS)]


def _latest(folder: Path) -> list[Path]:
    """The videos of the last validation."""
    newest = max((folder / "validation").glob("step-*/*.webp"), default=None)
    return sorted(newest.parent.glob("*.webp")) if newest else []


def file_of(path: Path) -> dict[str, str]:
    """A file below the output folder, as the host's /view knows it."""
    inside = path.relative_to(folder_paths.get_output_directory())
    return {"filename": path.name, "subfolder": inside.parent.as_posix(), "type": "output"}


def kept_state(name: str) -> dict | None:
    """What a run of this name showed last."""
    try:
        return json.loads((place_of(name).folder / _FILE).read_text(encoding="utf-8"))
    except (TrainingError, OSError, ValueError):
        return None


class Monitor:
    """Tells the page about one run."""

    def __init__(
        self, node: str, name: str, folder: Path, steps: int, warnings: Sequence[str] = ()
    ) -> None:
        from server import PromptServer

        self._server = PromptServer.instance
        self._node, self._name, self._folder, self._steps = node, name, folder, steps
        self._warnings = list(warnings)
        self._told = self._written = 0.0

    def tell(self, history: Sequence[dict], *, now: bool = False) -> dict | None:
        """Send the state, unless it was sent just now; `now` sends it all the same."""
        time_s = time.monotonic()
        if not now and time_s - self._told < _EVENT_S:
            return None
        self._told = time_s
        state = run_state(self._name, self._folder, history, self._steps)
        state["warnings"] = self._warnings
        if now or time_s - self._written >= _FILE_S:
            self._written = time_s
            write_whole(self._folder / _FILE, json.dumps(state).encode())
        job = {"node": self._node, "prompt_id": self._server.last_prompt_id}
        self._server.send_sync(_EVENT, {**job, **state})
        return state
