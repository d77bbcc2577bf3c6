"""First-Frame Color Match: against the colour shift right after a fixed first frame."""

from __future__ import annotations

from comfy_api.latest import io

from ..fvg_core.colors import match_first_frame


class FirstFrameColorMatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGFirstFrameColorMatch",
            display_name="First-Frame Color Match",
            category="FVG",
            description="Gives every frame of a video the brightness, contrast and tint of its "
            "first frame. Goes between VAE Decode and Save Video.",
            search_aliases=["color match", "colour shift", "flash"],
            inputs=[
                io.Image.Input("images", tooltip="The frames, from VAE Decode."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="0 changes nothing; 1 (as it was measured) goes all the way.",
                ),
                io.Int.Input(
                    "videos",
                    default=1,
                    min=1,
                    max=4096,
                    tooltip="How many videos these frames are, one after another: the number that "
                    "were sampled together.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="The frames; the first of each video as it was.")],
        )

    @classmethod
    def execute(cls, images, strength, videos) -> io.NodeOutput:
        return io.NodeOutput(match_first_frame(images, strength, videos))
