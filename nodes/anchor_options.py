"""Anchor Options: what may help an anchored video beyond the paper (docs/options.md)."""

from __future__ import annotations

from comfy_api.latest import io

from . import host


class AnchorOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorOptions",
            display_name="Anchor Options",
            category="FVG",
            description="Optional: guides towards the anchor as well as towards the prompt. Goes "
            "anywhere between the model loader and the sampler.",
            search_aliases=["anchor guidance", "negative without anchor"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A text-to-video model, before or after the Anchor Latent Injector. Of "
                    "Wan 2.2 A14B the high-noise expert is enough for the Anchored Wan Sampler.",
                ),
                io.Boolean.Input(
                    "negative_without_anchor",
                    default=True,
                    tooltip="Show the picture to the positive prompt only. True won on the tiny "
                    "world (docs/options.md); false is the paper's way. Without effect at cfg 1, "
                    "where the negative prompt is not computed. Costs no time.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="For the Anchor Latent Injector or a sampler.")],
        )

    @classmethod
    def execute(cls, model, negative_without_anchor) -> io.NodeOutput:
        return io.NodeOutput(host.negative_without_anchor(model, negative_without_anchor))
