"""Tiny World Loader: models small enough for any CPU, to try the whole path."""

from __future__ import annotations

from comfy_api.latest import io

from . import host


class TinyWorldLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGTinyWorldLoader",
            display_name="Tiny World Loader",
            category="FVG",
            description="Loads a Wan of 5.4 million parameters (the real ones have 1.3 to 14 "
            "billion) that knows one to five coloured shapes that move (64 x 64 pixels, 17 "
            "frames). It comes with the pack and runs on a CPU in seconds; its anchor LoRA is in "
            "the list of the LoRA loader.",
            search_aliases=["demo", "toy model"],
            inputs=[],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="Text to video."),
                io.Model.Output(
                    "image_model", display_name="image_model", tooltip="Text to image."
                ),
                io.Clip.Output("clip", display_name="clip", tooltip="Text encoder of both."),
                io.Vae.Output("vae", display_name="vae", tooltip="VAE of both."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*host.load_tiny_world())
