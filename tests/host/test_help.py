"""The help page of every node, where the browser looks for it."""

import urllib.request

import pytest

from dev.host import PACK
from fvg_core.bench.client import ComfyClient

pytestmark = pytest.mark.host

PAGES = PACK / "js" / "docs"
OWN_OPTIONS = 6  # longer lists are the host's samplers and schedulers


@pytest.fixture(scope="module")
def pack_nodes(comfy) -> dict[str, dict]:
    """Our nodes as the server describes them."""
    with ComfyClient(comfy.url) as client:
        info = client.object_info()
    return {name: node for name, node in info.items() if node["category"].split("/")[0] == "FVG"}


def served(comfy, node: dict) -> str:
    """The page as frontend 1.47 finds it: by the folder in the node's python_module."""
    folder = node["python_module"].split(".")[1]
    url = f"{comfy.url}/extensions/{folder}/docs/{node['name']}.md"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=10) as reply:
        assert "text/html" not in reply.headers["Content-Type"]  # the frontend refuses it
        return reply.read().decode()


def test_pages_and_nodes_are_the_same(pack_nodes):
    assert {page.stem for page in PAGES.glob("*.md")} == set(pack_nodes)


def test_pages_are_served_and_name_everything(comfy, pack_nodes):
    missing = {}
    for name, node in pack_nodes.items():
        page = served(comfy, node)
        assert page.startswith(f"# {node['display_name']}\n")
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        words = [*inputs, *node["output_name"]]
        for kind, *more in inputs.values():
            options = kind if isinstance(kind, list) else (more or [{}])[0].get("options", [])
            words += options if len(options) <= OWN_OPTIONS else []
        missing[name] = [word for word in words if f"`{word}`" not in page]
    assert not any(missing.values()), missing
