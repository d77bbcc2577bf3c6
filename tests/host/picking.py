"""A small graph around the Anchor Picker, for tests with and without a browser."""

from __future__ import annotations

import io
import uuid

import numpy as np
from PIL import Image

from fvg_core.bench.client import ComfyClient
from tests.host.graphs import Builder

COLORS = (0x20A040, 0x4060F0, 0xD03020)


class Picking(Builder):
    """Flat candidates of three colours, a picker, and what it passes on. Each has its own key."""

    def __init__(self, seed: int | None = None, **inputs) -> None:
        super().__init__()
        self.seed = uuid.uuid4().int % 2**40 if seed is None else seed
        self.noise = self.add("ImageAddNoise", image=self.pictures(3), seed=self.seed, strength=0.0)
        self.images = [self.noise, 0]
        settings = {"policy": "stop", "index": 0, "seed": 0, **inputs}
        self.picker = self.add("FVGAnchorPicker", images=self.images, **settings)
        prefix = f"picked-{uuid.uuid4().hex}"
        self.save_node = self.add("SaveImage", images=[self.picker, 0], filename_prefix=prefix)
        for slot in (1, 2):
            self.add("PreviewAny", source=[self.picker, slot])

    def set(self, **inputs) -> Picking:
        self.graph[self.picker]["inputs"] |= inputs
        return self

    def state(self, client: ComfyClient) -> dict:
        """What the picker says after a run."""
        self.result = client.run(self.graph)
        return self.result.outputs[self.picker]["fvg_picker"][0]

    def picked(self, client: ComfyClient) -> list[int]:
        """Which colours were passed on in the last run."""
        files = self.result.files(self.save_node) if self.save_node in self.result.outputs else []
        return [color_of(client.fetch(file)) for file in files]


def color_of(picture: bytes) -> int:
    """The candidate of COLORS that a picture shows."""
    pixel = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[8, 8].astype(int)
    known = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in COLORS])
    distance = np.abs(known - pixel).sum(1)
    assert distance.min() < 12
    return int(distance.argmin())
