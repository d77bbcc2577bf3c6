"""A program: velocities of the host's own Wan for models of several families.

    python host_families.py <ComfyUI> <folder>

The folder holds <name>.safetensors for each model (weights under `model.`, the forward's tensors
under `given.`, the constructor's arguments in the metadata) and receives result.safetensors.
"""

import json
import sys
from pathlib import Path

ROOT, FOLDER = (Path(argument) for argument in sys.argv[1:])
sys.path[:0] = [str(ROOT)]
sys.argv[1:] = ["--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.wan.model import WanModel  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def part(tensors: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def velocity(path: Path) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        sizes = json.loads(file.metadata()["sizes"])
    operations = comfy.ops.disable_weight_init
    model = WanModel(**sizes, device="cpu", dtype=torch.float32, operations=operations).eval()
    model.load_state_dict(part(tensors, "model."))
    with torch.no_grad():
        return model(**part(tensors, "given."))


results = {path.stem: velocity(path).contiguous() for path in sorted(FOLDER.glob("*.safetensors"))}
save_file(results, FOLDER / "result.safetensors")
