"""A program: what the host makes of checkpoints of which only names and shapes are there.

    python host_shapes.py <ComfyUI> < shapes.json > found.json

shapes.json: {model: {tensor: shape}}. found.json: {model: the class of the host's model object, its
width, blocks and inputs, the scale of its latents, the factor of its working memory, and the names
and shapes of its own transformer}.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])
sys.argv[1:] = ["--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import torch  # noqa: E402
from comfy import model_detection  # noqa: E402


def found(shapes: dict[str, list[int]]) -> dict:
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    sizes = model_detection.detect_unet_config(state, "")
    config = model_detection.model_config_from_unet_config(sizes, state)
    config.set_inference_dtype(torch.bfloat16, None)
    model = config.get_model(state, "", device="meta")
    own = model.diffusion_model
    return {
        "class": type(model).__name__,
        "dim": own.dim,
        "layers": len(own.blocks),
        "latent_scale": getattr(model.latent_format, "scale_factor", 1.0),
        "channels": own.patch_embedding.weight.shape[1]
        if hasattr(own, "patch_embedding")
        else own.in_channels,
        "memory_factor": model.memory_usage_factor,
        "clip_vision": getattr(own, "img_emb", None) is not None,
        "shapes": {name: list(tensor.shape) for name, tensor in own.state_dict().items()},
    }


given = json.load(sys.stdin)
json.dump({name: found(shapes) for name, shapes in given.items()}, sys.stdout)
