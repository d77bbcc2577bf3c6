"""Long work on the real server: progress, a preview of the whole video, interrupt, repetition."""

from __future__ import annotations

import io
import struct
import uuid

import pytest
import torch
from graphs import LATENT_FRAMES, SIZE, Builder, forget
from PIL import Image
from safetensors.torch import load_file

from fvg_core.bench.client import Event, InterruptedRunError

pytestmark = pytest.mark.host

LATENT = SIZE // 8
STEPS = 6


def anchored() -> Builder:
    graph = Builder()
    graph.world()
    graph.inject(image=graph.pictures())
    return graph


def sampler(sampled: list) -> str:
    return sampled[0]


def candidates(graph: Builder, count: int = 2, **more) -> str:
    node = graph.add(
        "FVGAnchorImageGenerator", model=graph.image_model, clip=graph.clip, vae=graph.vae,
        prompt="a red circle", negative="", width=SIZE, height=SIZE, candidates=count,
        **{"seed": uuid.uuid4().int % 2**63, "steps": STEPS, "cfg": 4.0, "sampler_name": "euler",
           "scheduler": "simple", **more},
    )  # fmt: skip
    graph.add("PreviewImage", images=[node, 0])
    return node


def picture(preview: bytes) -> Image.Image:
    """The picture of a binary message: kind, then its format or its JSON, then the file."""
    (kind,) = struct.unpack(">I", preview[:4])
    skip = 8 if kind == 1 else 8 + struct.unpack(">I", preview[4:8])[0]
    return Image.open(io.BytesIO(preview[skip:])).convert("RGB")


def events_of(client, graph: Builder) -> list[Event]:
    events: list[Event] = []
    client.run(graph.graph, on_event=events.append)
    return events


def steps_of(events: list[Event], node: str) -> list[tuple[float, float]]:
    return [(e.value, e.maximum) for e in events if e.kind == "progress" and e.node == node]


def test_sampling_tells_every_step(client):
    graph = anchored()
    sampled = graph.sample(steps=STEPS, seed=uuid.uuid4().int % 2**63)
    graph.save(sampled, "progress")
    told = steps_of(events_of(client, graph), sampler(sampled))
    assert [value for value, _ in told] == [*range(1, STEPS + 1)]
    assert {maximum for _, maximum in told} == {STEPS}


def test_drawing_candidates_tells_its_progress(client):
    """Steps of all candidates together, each shown at the end of its own. The host leaves out
    steps that follow each other fast, but never the first or one with a picture."""
    graph = Builder()
    graph.world(lora=False)
    node = candidates(graph, count=2)
    told = steps_of(events_of(client, graph), node)
    values = [value for value, _ in told]
    assert {maximum for _, maximum in told} == {2 * STEPS}
    assert values[0] == 1
    assert values[-1] == 2 * STEPS
    assert STEPS in values
    assert values == sorted(values)


def test_the_preview_shows_every_frame(client):
    graph = anchored()
    sampled = graph.sample(steps=STEPS, seed=uuid.uuid4().int % 2**63)
    graph.save(sampled, "preview")
    previews = [e.preview for e in events_of(client, graph) if e.kind == "preview"]
    assert len(previews) == STEPS
    last = picture(previews[-1])
    # The host scales previews up; their shape still tells the grid.
    grids = [(c, -(-LATENT_FRAMES // c)) for c in range(1, LATENT_FRAMES + 1)]
    columns, rows = min(grids, key=lambda g: abs(last.width / last.height - g[0] / g[1]))
    assert last.width / last.height == pytest.approx(columns / rows, rel=0.01)
    size = (columns * LATENT, rows * LATENT)
    first, last = (p.resize(size, Image.Resampling.BOX) for p in (picture(previews[0]), last))
    # The anchor's cell stands still; some other cell changes while the video is made.
    changes = [_change(first, last, (i % columns, i // columns)) for i in range(LATENT_FRAMES)]
    assert max(changes[1:]) > 4 * changes[0]


def _change(a: Image.Image, b: Image.Image, cell: tuple[int, int]) -> float:
    x, y = (n * LATENT for n in cell)
    cells = [
        torch.frombuffer(
            bytearray(i.crop((x, y, x + LATENT, y + LATENT)).tobytes()), dtype=torch.uint8
        )
        for i in (a, b)
    ]
    return float((cells[0].float() - cells[1].float()).abs().mean())


def interrupted(client, graph: Builder, node: str, after: int) -> float:
    """Interrupt a run at step `after` of `node`; the steps that were still told."""
    told: list[float] = []
    asked: list[float] = []

    def watch(event: Event) -> None:
        if event.kind == "progress" and event.node == node:
            if event.value >= after and (not told or told[-1] < after):
                client.interrupt(event.data["prompt_id"])
                asked.append(event.value)
            told.append(event.value)

    with pytest.raises(InterruptedRunError):
        client.run(graph.graph, on_event=watch)
    return told[-1] - asked[0]


# The request travels while the server works on.
WITHIN_STEPS = 5


@pytest.mark.timeout(300)
def test_a_long_sampling_can_be_interrupted(client, comfy):
    graph, name = anchored(), f"interrupted-{uuid.uuid4().hex}"
    sampled = graph.sample(steps=1000, seed=uuid.uuid4().int % 2**63)
    graph.save(sampled, name)
    assert interrupted(client, graph, sampler(sampled), after=5) <= WITHIN_STEPS
    assert not list(comfy.output.glob(f"{name}*"))
    after = anchored()
    after.save(after.sample(seed=uuid.uuid4().int % 2**63), name)
    assert client.run(after.graph)
    assert list(comfy.output.glob(f"{name}*"))


@pytest.mark.timeout(300)
def test_drawing_can_be_interrupted(client):
    graph = Builder()
    graph.world(lora=False)
    node = candidates(graph, steps=1000)
    assert interrupted(client, graph, node, after=5) <= WITHIN_STEPS
    after = Builder()
    after.world(lora=False)
    candidates(after, count=1)
    assert client.run(after.graph)


def test_the_same_graph_twice_gives_the_same_video(client, comfy):
    found = []
    for _ in range(2):
        forget(client)
        graph, name = anchored(), f"twice-{uuid.uuid4().hex}"
        sampled = graph.sample(seed=11, sampler_name="dpmpp_2m_sde")
        graph.save(sampled, name)
        result = client.run(graph.graph)
        assert sampler(sampled) not in result.cached
        found.append(load_file(next(comfy.output.glob(f"{name}*")))["latent_tensor"])
    assert torch.equal(*found)
