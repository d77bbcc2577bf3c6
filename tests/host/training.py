"""Graphs and files of training on the tiny world, for the tests of the trainer."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from graphs import Builder
from safetensors import safe_open
from safetensors.torch import load_file

from fvg_core.bench.client import RunError

CLIPS = "fvg_clips"
# Small and quick; fp32 and one thread, so that runs can be compared bit for bit.
SMALL: dict[str, Any] = {
    "if_exists": "go on", "steps": 4, "batch": 2, "micro_batch": 2, "rank": 4,
    "learning_rate": 2e-3, "alpha": 0.0, "dropout": 0.0, "anchor_loss": "masked",
    "first_frame_share": 0.5, "unanchored_share": 0.1, "max_anchors": 1, "prompt_dropout": 0.1,
    "time_density": "uniform", "time_shift": 5.0, "expert": "all", "optimizer": "adamw",
    "schedule": "constant", "warmup": 0, "ema": 0.0, "dtype": "fp32",
    "gradient_checkpointing": False, "cpu_optimizer": False, "checkpoint_every": 0,
    "keep_checkpoints": 3, "validate_every": 0, "validation_clips": 0, "validation_steps": 4,
    "validation_cfg": 3.0, "validation_shift": 3.0, "seed": 0,
}  # fmt: skip


def tiny() -> Builder:
    """The tiny world's models, without LoRA."""
    graph = Builder()
    graph.world(lora=False)
    return graph


def new_name() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


def random_data(
    graph: Builder, *, count=4, channels=16, features=128, broken=False, said=3
) -> list:
    inputs = {
        "count": count, "channels": channels, "features": features, "broken": broken, "said": said,
    }  # fmt: skip
    return [graph.add("FVGRandomDataset", **inputs), 0]


def train(graph: Builder, name: str, data: list | None = None, **settings: Any) -> str:
    """The trainer on the graph's model; its first output becomes `model`. Returns its id."""
    data = data or random_data(graph)
    node = graph.add(
        "FVGLoraTrainer",
        model=graph.model,
        dataset=data,
        lora_name=name,
        **{**SMALL, **settings},
    )
    graph.add("PreviewAny", source=[node, 3])
    graph.model = [node, 0]
    return node


class Files:
    """What a server keeps of a run."""

    def __init__(self, comfy, name: str) -> None:
        self.folder: Path = comfy.output / "fvg" / "training" / name
        self.lora: Path = comfy.base / "loras" / f"{name}.safetensors"

    def history(self) -> list[dict]:
        lines = (self.folder / "history.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def checkpoints(self) -> list[int]:
        paths = (self.folder / "checkpoints").glob("step-*.safetensors")
        return sorted(int(path.stem.removeprefix("step-")) for path in paths)

    def weights(self) -> dict:
        return load_file(self.lora)

    def metadata(self) -> dict[str, str]:
        with safe_open(self.lora, "pt") as file:
            return file.metadata()


def report(result) -> str:
    """The trainer's report, as the PreviewAny behind it shows it."""
    texts = [o["text"][0] for o in result.outputs.values() if "text" in o]
    return next(text for text in texts if ".safetensors" in text)


def refused(client, name: str, data=None, graph: Builder | None = None, **settings) -> str:
    """What the trainer says when it refuses."""
    graph = graph or tiny()
    train(graph, name, data(graph) if data else None, **settings)
    with pytest.raises(RunError) as raised:
        client.run(graph.graph)
    assert raised.value.node_type == "FVGLoraTrainer"
    return str(raised.value)
