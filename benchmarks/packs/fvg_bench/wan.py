"""A Wan of any size with random weights, through the host's own loader."""

from __future__ import annotations

import json
from pathlib import Path

import comfy.ops
import comfy.sd
import folder_paths
import torch
from comfy.ldm.wan.model import WanModel
from comfy_api.latest import io
from safetensors.torch import save_file


class RandomWan(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchWan",
            inputs=[
                io.Conditioning.Input("conditioning", tooltip="Whose text width the model takes."),
                io.Int.Input("dim", min=64, max=5120),
                io.Int.Input("heads", min=1, max=40),
                io.Int.Input("layers", min=1, max=40),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, conditioning, dim, heads, layers) -> io.NodeOutput:
        config = {
            "dim": dim,
            "ffn_dim": 4 * dim,
            "num_heads": heads,
            "num_layers": layers,
            "text_dim": conditioning[0][0].shape[-1],
        }
        net = WanModel(
            **config, device="cpu", dtype=torch.float32, operations=comfy.ops.disable_weight_init
        )
        draw = torch.Generator().manual_seed(0)
        weights = {
            name: torch.randn(weight.shape, generator=draw) * 0.02
            for name, weight in net.state_dict().items()
        }
        path = Path(folder_paths.get_temp_directory()) / f"random_wan_{dim}x{layers}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path, metadata={"config": json.dumps({"transformer": config})})
        return io.NodeOutput(comfy.sd.load_diffusion_model(str(path)))
