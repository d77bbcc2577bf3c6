"""What the pack adds to the host's start: its own modules, and nothing heavy."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from dev.host import LINK_NAME

pytestmark = pytest.mark.host

HEAVY = {
    "accelerate", "aiohttp", "av", "bitsandbytes", "diffusers", "hypothesis", "matplotlib",
    "numpy", "pandas", "peft", "scipy", "sentencepiece", "torch", "torchvision", "transformers",
}  # fmt: skip

# The host's own order: its nodes first, then the packs, each loaded from its folder.
LOAD = """
import asyncio, json, sys
from importlib.util import module_from_spec, spec_from_file_location
sys.path.insert(0, sys.argv[1])
pack, base = sys.argv[2:4]
sys.argv = ["main.py", "--cpu", "--base-directory", base]
import comfy.options
comfy.options.enable_args_parsing()
import nodes
import comfy_api.latest
import latent_preview
before = set(sys.modules)
spec = spec_from_file_location("pack", pack + "/__init__.py", submodule_search_locations=[pack])
sys.modules["pack"] = module = module_from_spec(spec)
spec.loader.exec_module(module)
extension = asyncio.run(module.comfy_entrypoint())
found = [node.define_schema().node_id for node in asyncio.run(extension.get_node_list())]
print(json.dumps({"nodes": found, "new": sorted(set(sys.modules) - before)}))
"""


def test_loading_the_pack_imports_its_own_modules_only(install, tmp_path: Path):
    pack = install.root / "custom_nodes" / LINK_NAME
    for name in ("custom_nodes", "models", "input", "output"):
        (tmp_path / name).mkdir()
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(install.python), "-c", LOAD, str(install.root), str(pack), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report["nodes"]) == len({*report["nodes"]}) >= 6
    assert "pack.nodes.anchored_wan_sampler" in report["new"]
    packages = {name.split(".")[0] for name in report["new"]}
    assert not packages & HEAVY
    ours = {name for name in report["new"] if name.startswith("pack.fvg_core.")}
    assert not {n for n in ours if n.startswith(("pack.fvg_core.tiny", "pack.fvg_core.bench"))}
