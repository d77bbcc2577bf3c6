"""A program: velocities of the host's own Wan, plain and with a LoRA, in a process of its own.

    python host_velocity.py <ComfyUI> <folder>

The folder holds job.safetensors (the weights under `model.`, a LoRA under `lora.`, x, sigma, text;
the constructor's arguments in the metadata) and receives result.safetensors.
"""

import host_side

FOLDER = host_side.begin()

import comfy.model_management  # noqa: E402
import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.wan.model import WanModel  # noqa: E402

from fvg_core.backbones.wan import WAN21  # noqa: E402
from fvg_core.lora.adapter import attach  # noqa: E402

RANK, ALPHA, SEED = 3, 6.0, 5


class HostWan:
    """The host's transformer as a backbone, without the host's model object around it."""

    def __init__(self, module: WanModel) -> None:
        self.module, self.spec, self.blocks = module, WAN21, module.blocks

    def published_name(self, name: str) -> str:
        return name

    def denoise(self, x, sigma, text):
        return self.module(x, sigma * 1000, text)


def velocities(operations, sizes: dict, tensors: dict) -> dict[str, torch.Tensor]:
    model = WanModel(**sizes, device="cpu", dtype=torch.float32, operations=operations).eval()
    model.load_state_dict(host_side.part(tensors, "model."))
    backbone = HostWan(model)
    given = tensors["x"], tensors["sigma"], tensors["text"]
    out = {"plain": backbone.denoise(*given).detach()}
    adapter = attach(backbone, rank=RANK, alpha=ALPHA, seed=SEED)
    out |= {f"start.{key}": value for key, value in adapter.state().items()}
    adapter.load(host_side.part(tensors, "lora."))
    comfy.model_management.in_training = True  # or its rotary embedding has no gradient
    backbone.denoise(*given).square().mean().backward()
    comfy.model_management.in_training = False
    out |= {
        f"grad.{name}": p.grad
        for name, p in zip(adapter.state(), adapter.parameters(), strict=True)
    }
    with torch.no_grad():
        out["lora"] = backbone.denoise(*given)
        adapter.eject()
        out["ejected"] = backbone.denoise(*given)
    return out


sizes, tensors = host_side.read_job(FOLDER / "job.safetensors")
results = {
    f"{name}.{key}": value
    for name in ("disable_weight_init", "manual_cast")
    for key, value in velocities(getattr(comfy.ops, name), sizes, tensors).items()
}
host_side.write_result(FOLDER, results)
