"""The client against a real server."""

import socket
import time
from pathlib import Path

import pytest

from dev.server import ComfyServer
from fvg_core.bench.client import (
    ComfyClient,
    Event,
    InterruptedRunError,
    RejectedError,
    RunError,
)
from fvg_core.bench.remote import preview_picture
from fvg_core.errors import HostError

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


def picture(color: int = 0xFF0000) -> dict:
    """One red square, saved; a new colour is a new job."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "c"}},
    }


def test_run_returns_the_files(client: ComfyClient) -> None:
    events: list[Event] = []
    result = client.run(picture(0x123456), on_event=events.append)
    files = result.files("2")
    assert len(files) == 2
    assert client.fetch(files[0]).startswith(b"\x89PNG")
    assert {"execution_start", "executing", "execution_success"} <= {e.kind for e in events}
    assert result.files("1") == []


def test_workflow_is_embedded_in_what_is_saved(client: ComfyClient) -> None:
    workflow = {"nodes": [], "links": [], "version": 0.4, "marker": "kept"}
    result = client.run(picture(0x123457), workflow)
    assert b'"marker": "kept"' in client.fetch(result.files()[0])


def test_cached_nodes_are_named(client: ComfyClient) -> None:
    client.run(picture(0x222222))
    assert "1" in client.run(picture(0x222222)).cached


def test_wrong_input_is_refused_with_its_node(client: ComfyClient) -> None:
    prompt = picture()
    prompt["1"]["inputs"]["width"] = -5
    with pytest.raises(RejectedError, match=r"EmptyImage \(node 1\).*width") as caught:
        client.run(prompt)
    assert "1" in caught.value.node_errors


def test_unknown_node_is_refused_by_name(client: ComfyClient) -> None:
    prompt = picture() | {"9": {"class_type": "NoSuchNode", "inputs": {}}}
    with pytest.raises(RejectedError, match="NoSuchNode"):
        client.run(prompt)


def test_half_valid_prompt_is_refused_and_not_left_running(client: ComfyClient) -> None:
    prompt = picture(0x333333) | {
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "c"}}
    }
    with pytest.raises(RejectedError, match=r"SaveImage \(node 3\)"):
        client.run(prompt)
    deadline = time.monotonic() + 20
    while any(client.get("/queue").values()):
        assert time.monotonic() < deadline, "the valid half is still queued"
        time.sleep(0.1)


def test_failing_node_is_named_with_its_reason(client: ComfyClient, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    prompt = {
        "4": {"class_type": "LoadImage", "inputs": {"image": client.upload_image(broken)}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }
    with pytest.raises(RunError, match=r"LoadImage \(node 4\): cannot identify") as caught:
        client.run(prompt)
    assert (caught.value.node_id, caught.value.node_type) == ("4", "LoadImage")
    assert "load_image" in caught.value.traceback


def slow(seed: int) -> dict:
    """Seconds of work: a big blur, many times over."""
    nodes: dict = {
        "0": {
            "class_type": "EmptyImage",
            "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": seed},
        }
    }
    for i in range(1, 40):
        nodes[str(i)] = {
            "class_type": "ImageBlur",
            "inputs": {"image": [str(i - 1), 0], "blur_radius": 31, "sigma": 9.0},
        }
    nodes["99"] = {"class_type": "PreviewImage", "inputs": {"images": ["39", 0]}}
    return nodes


def test_interrupt_ends_the_run(client: ComfyClient) -> None:
    seen = []

    def stop(event: Event) -> None:
        seen.append(event.node)
        if event.kind == "executing" and event.node == "2":
            client.interrupt()

    with pytest.raises(InterruptedRunError):
        client.run(slow(7), on_event=stop)
    assert "2" in seen
    assert "39" not in seen


def test_a_dropped_websocket_is_survived(comfy: ComfyServer) -> None:
    with ComfyClient(comfy.url) as client:
        dropped = False

        def drop(event: Event) -> None:
            nonlocal dropped
            if event.kind == "executing" and not dropped:
                dropped = True
                # The transport dies under the client, as on a lost network.
                client._do(_abort(client))

        assert client.run(picture(0x444444), on_event=drop).files()
        assert dropped


async def _abort(client: ComfyClient) -> None:
    for connections in list(client.remote.http.connector._acquired):  # type: ignore[union-attr]
        transport = connections.transport
        if transport is not None:
            transport.abort()


def test_no_server_says_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        ComfyClient(f"http://127.0.0.1:{port}") as client,
        pytest.raises(HostError, match="Is the server running"),
    ):
        client.system_stats()


def test_previews_are_told_from_other_binary_messages():
    assert preview_picture(b"\0\0\0\1" + b"\0\0\0\1" + b"\xff\xd8 jpeg") == b"\xff\xd8 jpeg"
    for other in (b"", b"\0\0\0\1", b"\0\0\0\1\0\0\0\1", b"\0\0\0\3\0\0\0\1text", "text"):
        assert preview_picture(other) is None
