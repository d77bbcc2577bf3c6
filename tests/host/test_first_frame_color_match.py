"""First-Frame Color Match between the decoder and the file, in a real ComfyUI."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from graphs import Builder
from PIL import Image

pytestmark = pytest.mark.host


def test_a_batch_of_videos_keeps_its_first_frames_and_gets_their_colours(comfy, client):
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures(2))
    frames = [graph.add("VAEDecode", samples=graph.sample(steps=2), vae=graph.vae), 0]
    match = graph.add("FVGFirstFrameColorMatch", images=frames, strength=1.0, videos=2)
    name = uuid.uuid4().hex
    graph.add("SaveImage", images=frames, filename_prefix=f"{name}-before")
    graph.add("SaveImage", images=[match, 0], filename_prefix=f"{name}-after")
    client.run(graph.graph)
    before, after = (
        np.stack([np.array(Image.open(p)) for p in sorted(comfy.output.glob(f"{name}-{w}_*.png"))])
        .reshape(2, 17, 64, 64, 3)
        .astype(float)
        for w in ("before", "after")
    )
    assert (after[:, 0] == before[:, 0]).all()
    shift = lambda video: np.abs(video.mean((2, 3)) - video[:, :1].mean((2, 3))).mean()
    assert shift(after) < 0.5 * shift(before)  # in levels of 255; what is clipped stays
