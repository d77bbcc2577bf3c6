"""What servers broadcast, which may be anything that a pack thinks of."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from comfys import Comfy

from fvg_core.bench.remote import read_event
from fvg_core.bench.results import Event
from fvg_core.bench.servers import Server

OWN = "own"
STEP = {"value": 3, "max": 20, "node": "15", "prompt_id": OWN}
STRANGE = [
    "no JSON",
    "[" * 100_000,
    "null",
    '"text"',
    '{"type": "crystools.monitor"}',
    *(json.dumps({"type": "monitor", "data": data}) for data in ("text", 1, [1], None, True)),
    *(json.dumps({"type": "progress", "data": STEP | {"prompt_id": x}}) for x in ([1], {"a": 1})),
    *(json.dumps({"type": "progress", "data": STEP | {"value": x}}) for x in ("?", [1], 10**400)),
    json.dumps({"data": STEP}),
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_what_no_comfyui_says_is_no_event(text: str):
    assert read_event(text) is None


def test_a_step_is_an_event():
    text = json.dumps({"type": "progress", "data": STEP})
    assert read_event(text) == Event("progress", "15", 3, 20, STEP)


def test_a_server_that_broadcasts_anything_is_listened_to_on(tmp_path: Path):
    heard: list[str] = []
    said = [*STRANGE, json.dumps({"type": "preview", "data": {}})]
    said.append(json.dumps({"type": "progress", "data": STEP}))

    async def listen() -> None:
        async with Comfy(said=said) as comfy:
            server = Server(comfy.url, "batch")
            async with server.remote:
                server._ended[OWN] = asyncio.Event()
                step = lambda server, text: heard.append(text)
                preview = lambda server, picture: heard.append("preview")
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(server.listen(step, preview), 0.8)

    asyncio.run(listen())
    assert heard == ["3/20"]
