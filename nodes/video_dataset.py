"""Video Dataset: clips and captions become latents and text features, encoded once."""

from __future__ import annotations

from comfy_api.latest import io

from . import host


class VideoDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGVideoDataset",
            display_name="Video Dataset",
            category="FVG/training",
            description="Reads a folder of clips with captions, for LoRA training. Every clip is "
            "encoded once and kept; files that cannot be used are listed with the reason.",
            search_aliases=["training data", "load videos", "captions", "cache latents"],
            inputs=[
                io.String.Input(
                    "folder",
                    default="clips",
                    tooltip="Name of a folder below ComfyUI's input folder (or the full path of "
                    "one below its input or output folder).",
                ),
                io.Model.Input("model", tooltip="The video model that will be trained."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the video model."),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the video model."),
                io.Int.Input(
                    "width", default=832, min=16, max=16384, step=16, tooltip="Width, pixels."
                ),
                io.Int.Input(
                    "height", default=480, min=16, max=16384, step=16, tooltip="Height, pixels."
                ),
                io.Int.Input(
                    "length",
                    default=81,
                    min=5,
                    max=4097,
                    step=4,
                    tooltip="Longest piece that is taken from a clip, in frames: 1 + 4 x n.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.001,
                    tooltip="Frames a second that clips are brought to. 0: those of the model (Wan "
                    "2.1, A14B and CogVideoX 1.5 16, Wan 2.2 5B 24).",
                ),
                io.Boolean.Input(
                    "bucketing",
                    default=True,
                    tooltip="On: clips keep about their shape and length, with no more pixels than "
                    "width x height. Off: every clip is cut to exactly this size and length.",
                ),
                io.Int.Input(
                    "windows",
                    default=1,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Pieces taken from a clip longer than length. 1: its beginning.",
                ),
            ],
            outputs=[
                host.Dataset.Output("dataset", display_name="dataset", tooltip="For training."),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What was used, and every file left out with the reason.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder=None, **more) -> str | float:
        # A linked folder is not known yet, and what it holds may have changed.
        return float("nan") if folder is None else host.clips_stamp(folder)

    @classmethod
    def execute(
        cls, folder, model, vae, clip, width, height, length, fps, bucketing, windows
    ) -> io.NodeOutput:
        fps = fps or host.spec_of(model).fps
        from ..fvg_core.data import Target

        target = Target(width, height, length, fps, bucketing, windows)
        made = host.cache_dataset(folder, target, model, vae, clip)
        return io.NodeOutput(made.dataset, made.report)
