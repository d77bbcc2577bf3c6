"""A program: velocities of the host's own Wan for models of several families.

    python host_families.py <ComfyUI> <folder>

The folder holds <name>.safetensors for each model (weights under `model.`, the forward's tensors
under `given.`, the constructor's arguments in the metadata) and receives result.safetensors.
"""

from pathlib import Path

import host_side

FOLDER = host_side.begin()

import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.wan.model import WanModel  # noqa: E402


def velocity(path: Path) -> torch.Tensor:
    sizes, tensors = host_side.read_job(path)
    operations = comfy.ops.disable_weight_init
    model = WanModel(**sizes, device="cpu", dtype=torch.float32, operations=operations).eval()
    model.load_state_dict(host_side.part(tensors, "model."))
    with torch.no_grad():
        return model(**host_side.part(tensors, "given."))


results = {path.stem: velocity(path) for path in sorted(FOLDER.glob("*.safetensors"))}
host_side.write_result(FOLDER, results)
