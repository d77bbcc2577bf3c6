"""Runs the Anchor Image Generator on the real server, and says what it did."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from graphs import SIZE, Builder
from safetensors.torch import load_file

from fvg_core.bench.client import ComfyClient

NODE = "FVGAnchorImageGenerator"
SETTINGS = {
    "negative": "", "width": SIZE, "height": SIZE, "candidates": 3, "seed": 5, "steps": 2,
    "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple",
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """What a run of the generator left: the batch, its seeds, the folder, the files it showed."""

    images: torch.Tensor
    seeds: str
    folder: Path
    files: tuple[Path, ...]


class Studio:
    """Graphs with one generator. `prompt` is new for each, so that nothing is on disk yet."""

    def __init__(self, comfy, client: ComfyClient) -> None:
        self.output: Path = comfy.output
        self.input: Path = comfy.input
        self.client = client
        self.name = uuid.uuid4().hex
        self.prompt = f"a red circle {self.name}"

    def asked(self, kind: str = "model") -> int:
        """How often the counted input was asked for."""
        return len(self.notes(kind))

    def notes(self, kind: str) -> list:
        path = self.output / f"{self.name}-{kind}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def counted(self, graph: Builder, what: list, kind: str) -> list:
        return [graph.add("FVGCounted", what=what, name=f"{self.name}-{kind}"), 0]

    def world(self, counted: bool = True) -> Builder:
        graph = Builder()
        graph.world(lora=False)
        if counted:
            for kind in ("image_model", "clip", "vae"):
                name = "model" if kind == "image_model" else kind
                setattr(graph, kind, self.counted(graph, getattr(graph, kind), name))
        return graph

    def generator(self, graph: Builder, **inputs) -> str:
        """From the graph's image model, unless `inputs` bring another source."""
        models = {"model": graph.image_model, "clip": graph.clip, "vae": graph.vae}
        return graph.add(NODE, **{"prompt": self.prompt, **SETTINGS, **models, **inputs})

    def run(self, graph: Builder | None = None, *, counted: bool = True, **inputs) -> Drawn:
        graph = graph or self.world(counted)
        return self.result(graph, self.generator(graph, **inputs))

    def own(self, **inputs) -> Drawn:
        """From another source than an image model."""
        graph = Builder()
        return self.result(graph, graph.add(NODE, prompt=self.prompt, **{**SETTINGS, **inputs}))

    def result(self, graph: Builder, node: str) -> Drawn:
        saved = uuid.uuid4().hex
        graph.add("FVGSavePictures", images=[node, 0], name=saved)
        texts = [graph.add("PreviewAny", source=[node, slot]) for slot in (1, 2)]
        result = self.client.run(graph.graph)
        seeds, folder = ("".join(result.outputs[text]["text"]) for text in texts)
        files = tuple(self.output / f.subfolder / f.filename for f in result.files(node))
        images = load_file(self.output / f"{saved}.safetensors")["images"]
        return Drawn(images, seeds, self.output / folder, files)

    def unrelated(self) -> None:
        """Another job, after which the host's cache holds nothing of ours."""
        graph = Builder()
        graph.add("PreviewImage", images=graph.pictures())
        self.client.run(graph.graph)
