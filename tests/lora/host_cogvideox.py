"""A program: what the host's own CogVideoX predicts, in a process of its own.

    python host_cogvideox.py <ComfyUI> <folder>

The folder holds job.safetensors (the weights under `model.`, a LoRA under `lora.`, x, t, pairs,
text; the constructor's arguments in the metadata) and receives result.safetensors.
"""

import host_side

FOLDER = host_side.begin()

import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.cogvideo.model import CogVideoXTransformer3DModel  # noqa: E402

from fvg_core.backbones.cogvideox import COGVIDEOX15  # noqa: E402
from fvg_core.backbones.tokenwise import flat_timesteps, tokenwise  # noqa: E402
from fvg_core.lora.adapter import attach  # noqa: E402

RANK, ALPHA, SEED = 3, 6.0, 5


class Host:
    """The host's transformer as a backbone, without the host's model object around it."""

    spec = COGVIDEOX15

    def __init__(self, module) -> None:
        self.module, self.blocks = module, module.blocks

    def published_name(self, name: str) -> str:
        return name


def predictions(operations, sizes: dict, tensors: dict) -> dict[str, torch.Tensor]:
    model = CogVideoXTransformer3DModel(
        **sizes, device="cpu", dtype=torch.float32, operations=operations
    ).eval()
    model.load_state_dict(host_side.part(tensors, "model."))
    x, t, text = (tensors[k] for k in ("x", "t", "text"))
    with torch.no_grad():
        out = {"plain": model(x, t, text)}
        with tokenwise(model.blocks, model.norm_out):
            out["pairs"] = model(x, flat_timesteps(t, tensors["pairs"]), text)
        out["after"] = model(x, t, text)
    adapter = attach(Host(model), rank=RANK, alpha=ALPHA, seed=SEED)
    adapter.load(host_side.part(tensors, "lora."))
    with tokenwise(model.blocks, model.norm_out):
        out["lora"] = model(x, flat_timesteps(t, tensors["pairs"]), text)
        out["lora"].square().mean().backward()
    out["lora"] = out["lora"].detach()
    named = zip(adapter.state(), adapter.parameters(), strict=True)
    return out | {f"grad.{name}": p.grad for name, p in named}


sizes, tensors = host_side.read_job(FOLDER / "job.safetensors")
results = {
    f"{name}.{key}": value
    for name in ("disable_weight_init", "manual_cast")
    for key, value in predictions(getattr(comfy.ops, name), sizes, tensors).items()
}
host_side.write_result(FOLDER, results)
