"""What might help an anchored video and is in no node: each candidate as MODEL in, MODEL out.

They sit behind the hold's own wrappers: `x` already carries the clean anchor at latent frame 0 and
`t` is one timestep for each frame.
"""

from __future__ import annotations

import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import io
from torch import Tensor
from torch.nn.functional import interpolate, scaled_dot_product_attention

EARLY = 0.9  # sigma above which an early change acts: at shift 3, the first quarter of the steps
WEAKER = 0.5  # of the attention that the anchor gets
TRAINED_T = 1000.0


def low_passed(executor, x, t, *args, **kwargs):
    """A blurred anchor early (ALG, arXiv 2506.08456)."""
    if float(t.max()) > EARLY * TRAINED_T:
        x = x.clone()
        small = interpolate(x[:, :, 0], scale_factor=0.5, mode="area")
        x[:, :, 0] = interpolate(small, size=x.shape[-2:], mode="bilinear")
    return executor(x, t, *args, **kwargs)


def less_attended(executor, x, t, context, clip, concat, options, **kwargs):
    """Weaker attention to the anchor early (DyMoS, arXiv 2605.19398)."""
    if float(t.max()) <= EARLY * TRAINED_T:
        return executor(x, t, context, clip, concat, options, **kwargs)
    frames = x.shape[2]

    def attend(func, q: Tensor, k: Tensor, v: Tensor, heads: int, *more, **named):
        tokens = q.shape[1]
        if k.shape[1] != tokens:  # the text's
            return func(q, k, v, heads, *more, **named)
        bias = torch.zeros(tokens, tokens).to(q)
        bias[tokens // frames :, : tokens // frames] = torch.tensor(WEAKER).log()
        split = lambda a: a.unflatten(2, (heads, -1)).transpose(1, 2)
        out = scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=bias)
        return out.transpose(1, 2).flatten(2)

    options = {**options, "optimized_attention_override": attend}
    return executor(x, t, context, clip, concat, options, **kwargs)


WRAPPERS = {
    "low-pass": low_passed,
    "less attention": less_attended,
}
# The share of cfg - 1 at a sigma; the mean over sigma is 1.
SCHEDULES = {
    "falling guidance": lambda sigma: 2 * sigma,
    "rising guidance": lambda sigma: 2 * (1 - sigma),
}
CANDIDATES = (*WRAPPERS, *SCHEDULES)


class Candidate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchCandidate",
            inputs=[
                io.Model.Input("model", tooltip="From the Anchor Latent Injector."),
                io.Combo.Input("kind", options=list(CANDIDATES)),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, kind) -> io.NodeOutput:
        model = model.clone()
        if kind in WRAPPERS:
            model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, kind, WRAPPERS[kind])
        else:
            model.set_model_sampler_cfg_function(guidance_of(SCHEDULES[kind]))
        return io.NodeOutput(model)


def guidance_of(share):
    """A guidance function of the host whose scale follows sigma."""

    def guided(args):
        scale = 1 + (args["cond_scale"] - 1) * share(float(args["sigma"].max()))
        return args["uncond"] + scale * (args["cond"] - args["uncond"])

    return guided
