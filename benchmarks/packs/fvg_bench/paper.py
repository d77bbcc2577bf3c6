"""For the paper's tables: one timestep for all frames (section 4.1), and counted operations."""

from __future__ import annotations

import json

import comfy.model_management
import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import io
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

# torch's counter knows the attention of GPUs only.
_ON_CPU = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop}


def shared_time(executor, x, t, *args, **kwargs):
    """All frames at the noisy frames' time, with the clean anchor among them."""
    return executor(x, t.amax(1) if t.ndim > 1 else t, *args, **kwargs)


class SharedTime(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchSharedTime",
            inputs=[io.Model.Input("model", tooltip="From the Anchor Latent Injector.")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        model = model.clone()
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "shared time", shared_time)
        return io.NodeOutput(model)


class CountFlops(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchFlops",
            is_output_node=True,
            inputs=[
                io.Model.Input("model"),
                io.Model.Input("image_model"),
                io.Clip.Input("clip"),
                io.Vae.Input("vae"),
                io.Image.Input("frame", tooltip="The anchor."),
                io.Int.Input("length", min=1, max=1000),
                io.String.Input("prompt"),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, model, image_model, clip, vae, frame, length, prompt) -> io.NodeOutput:
        """Operations of one call of every part, one guidance branch, one video."""
        picture = vae.encode(frame[:1])
        z = picture.expand(-1, -1, (length - 1) // 4 + 1, -1, -1).contiguous()
        context = clip.encode_from_tokens(clip.tokenize(prompt))
        found = {
            "text": counted(lambda: clip.encode_from_tokens(clip.tokenize(prompt))),
            "video": _call(model, z, context),
            "image": _call(image_model, picture, context),
            "encode": counted(lambda: vae.encode(frame[:1])),
            "decode video": counted(lambda: vae.decode(z)),
            "decode image": counted(lambda: vae.decode(picture)),
        }
        return io.NodeOutput(json.dumps(found), ui={"text": (json.dumps(found),)})


def _call(model, z: torch.Tensor, context: torch.Tensor) -> int:
    comfy.model_management.load_model_gpu(model)
    device, inner = model.load_device, model.model
    t = torch.full((1,), 0.5, device=device)
    return counted(lambda: inner.apply_model(z.to(device), t, c_crossattn=context.to(device)))


def counted(call) -> int:
    """Floating-point operations of a call, a multiplication and an addition counted as two.

    Outside of inference mode, where the counter does not see into linear layers.
    """
    with torch.inference_mode(False), torch.no_grad():
        counter = FlopCounterMode(display=False, custom_mapping=_ON_CPU)
        with counter:
            call()
    return counter.get_total_flops()
