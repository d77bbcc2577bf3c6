"""A program: what the host's own CogVideoX predicts, in a process of its own.

    python host_cogvideox.py <ComfyUI> <pack> <folder>

The folder holds job.safetensors (the weights under `model.`, a LoRA under `lora.`, x, t, pairs,
text; the constructor's arguments in the metadata) and receives result.safetensors.
"""

import json
import sys
from pathlib import Path

ROOT, PACK, FOLDER = (Path(argument) for argument in sys.argv[1:])
# ComfyUI's `nodes` must win over the pack's.
sys.path[:0] = [str(ROOT)]
sys.path.append(str(PACK))
sys.argv[1:] = ["--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.cogvideo.model import CogVideoXTransformer3DModel  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

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


def part(prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def predictions(operations) -> dict[str, torch.Tensor]:
    model = CogVideoXTransformer3DModel(
        **sizes, device="cpu", dtype=torch.float32, operations=operations
    ).eval()
    model.load_state_dict(part("model."))
    x, t, text = (tensors[k] for k in ("x", "t", "text"))
    with torch.no_grad():
        out = {"plain": model(x, t, text)}
        with tokenwise(model.blocks, model.norm_out):
            out["pairs"] = model(x, flat_timesteps(t, tensors["pairs"]), text)
        out["after"] = model(x, t, text)
    adapter = attach(Host(model), rank=RANK, alpha=ALPHA, seed=SEED)
    adapter.load(part("lora."))
    with tokenwise(model.blocks, model.norm_out):
        out["lora"] = model(x, flat_timesteps(t, tensors["pairs"]), text)
        out["lora"].square().mean().backward()
    out["lora"] = out["lora"].detach()
    named = zip(adapter.state(), adapter.parameters(), strict=True)
    return out | {f"grad.{name}": p.grad for name, p in named}


with safe_open(FOLDER / "job.safetensors", "pt") as file:
    tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    sizes = json.loads(file.metadata()["sizes"])
results = {
    f"{name}.{key}": value.contiguous()
    for name in ("disable_weight_init", "manual_cast")
    for key, value in predictions(getattr(comfy.ops, name)).items()
}
save_file(results, FOLDER / "result.safetensors")
