"""Anchor Image Generator (paper, section 4.2: I_a = G_img(y0))."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from . import host


class AnchorImageGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorImageGenerator",
            display_name="Anchor Image Generator",
            category="FVG",
            description="Draws candidates for the first frame with any image model of ComfyUI, "
            "one seed each.",
            search_aliases=["first frame", "anchor", "text to image"],
            inputs=[
                io.Model.Input("model", tooltip="The image model, for example Qwen-Image."),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the image model."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the image model."),
                io.String.Input("prompt", multiline=True, tooltip="What the first frame shows."),
                io.String.Input(
                    "negative", multiline=True, default="", tooltip="What it must not show."
                ),
                io.Int.Input(
                    "width",
                    default=832,
                    min=16,
                    max=16384,
                    step=16,
                    tooltip="Pixels. Use the video's width, then nothing has to be cropped.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=16,
                    max=16384,
                    step=16,
                    tooltip="Pixels. Use the video's height.",
                ),
                io.Int.Input(
                    "candidates",
                    default=4,
                    min=1,
                    max=64,
                    tooltip="How many pictures to choose from.",
                ),
                host.seed_input(
                    "Seed of the first candidate; the others count up from it.",
                    after=io.ControlAfterGenerate.fixed,
                ),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    tooltip="Denoising steps of the image model. 50 in the paper (appendix A).",
                ),
                io.Float.Input(
                    "cfg",
                    default=4.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance scale of the image model. Qwen-Image's own default is 4.",
                ),
                *host.solver_inputs("euler", "Euler is the default of ComfyUI.", "picture"),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All candidates as one batch."),
                io.String.Output(
                    display_name="seeds", tooltip="Their seeds, in order, separated by commas."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, clip, vae, prompt, negative, width, height, candidates, seed, **sampling
    ) -> io.NodeOutput:
        positive, negative = (
            clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (prompt, negative)
        )
        seeds = [(seed + i) % 2**64 for i in range(candidates)]
        images = torch.cat(
            [
                host.draw(
                    model, vae, positive, negative, width=width, height=height, seed=s, **sampling
                )
                for s in seeds
            ]
        )
        return io.NodeOutput(
            images, ", ".join(map(str, seeds)), ui=ui.PreviewImage(images, cls=cls)
        )
