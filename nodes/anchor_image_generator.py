"""Anchor Image Generator (paper, section 4.2: I_a = G_img(y0))."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..fvg_core.image.sources import MOST, NO_PIPELINE
from . import host

_OPTIONAL = {
    "seeds": "",
    "batch": 1,
    "pipeline": NO_PIPELINE,
    "picture_folder": "",
    "fit": host.FIT_RULES[0],
}


class AnchorImageGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorImageGenerator",
            display_name="Anchor Image Generator",
            category="FVG",
            description="Draws candidates for the first frame, one seed each, with any image "
            "model of ComfyUI or a diffusers pipeline, or takes your own pictures. They are kept "
            "in the output folder and found there again.",
            search_aliases=["first frame", "anchor", "text to image"],
            is_input_list=True,  # pictures of several sizes come as a list, and are one set
            hidden=[
                io.Hidden.unique_id,
                io.Hidden.prompt,
                io.Hidden.dynprompt,
                io.Hidden.extra_pnginfo,
            ],
            inputs=[*_drawing_inputs(), *_source_inputs()],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    is_output_list=True,
                    tooltip="All candidates as one batch; for a list of prompts, one batch each.",
                ),
                io.String.Output(
                    display_name="seeds",
                    is_output_list=True,
                    tooltip="Their seeds, in order, separated by commas.",
                ),
                io.String.Output(
                    display_name="folder",
                    is_output_list=True,
                    tooltip="Where their files are, below ComfyUI's output folder.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, picture_folder=("",), pipeline=(None,), **more) -> str | float:
        if picture_folder[0] is None:  # linked, and not known yet: what it holds may have changed
            return float("nan")  # a new one each time, which equals nothing
        return host.candidates_stamp(cls.hidden.unique_id, picture_folder[0], pipeline[0])

    @classmethod
    def check_lazy_status(cls, **lists) -> list[str]:
        asked = (cls._wanted(inputs) for inputs in host.one_by_one(lists, whole=["pictures"]))
        return sorted({name for wanted in asked for name in wanted.inputs_needed()})

    @classmethod
    def execute(cls, **lists) -> io.NodeOutput:
        made = [
            host.make_candidates(cls.hidden, cls._wanted(inputs), inputs)
            for inputs in host.one_by_one(lists, whole=["pictures"])
        ]
        files = [
            ui.SavedResult(name, one.place, io.FolderType.output)
            for _, one in made
            for name in one.files
        ]
        return io.NodeOutput(
            [images for images, _ in made],
            [", ".join(map(str, one.seeds)) for _, one in made],
            [one.place for _, one in made],
            ui=ui.SavedImages(files),
        )

    @classmethod
    def _wanted(cls, inputs: dict):
        return host.wanted_candidates(cls.hidden, {**_OPTIONAL, **inputs})


def _drawing_inputs() -> list[io.Input]:
    return [
        io.String.Input("prompt", multiline=True, tooltip="What the first frame shows."),
        io.String.Input("negative", multiline=True, default="", tooltip="What it must not show."),
        io.Int.Input(
            "width",
            default=832,
            min=16,
            max=16384,
            step=16,
            tooltip="Pixels. Use the video's width, then nothing has to be cropped later.",
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
            max=MOST,
            tooltip="How many pictures to choose from. More of them later: those that are there "
            "already are not drawn again.",
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
    ]


def _source_inputs() -> list[io.Input]:
    """Optional, so that graphs from before they existed still run."""
    return [
        io.Model.Input(
            "model", optional=True, lazy=True, tooltip="The image model, for example Qwen-Image."
        ),
        io.Clip.Input(
            "clip",
            optional=True,
            lazy=True,
            tooltip="The text encoder that belongs to the image model.",
        ),
        io.Vae.Input(
            "vae", optional=True, lazy=True, tooltip="The VAE that belongs to the image model."
        ),
        io.Image.Input(
            "pictures",
            optional=True,
            lazy=True,
            tooltip="Instead of an image model: your own pictures, for example of another "
            "workflow. They are fitted to width and height.",
        ),
        io.String.Input(
            "seeds",
            optional=True,
            default=_OPTIONAL["seeds"],
            tooltip="Seeds of single candidates, with commas between them: 7, 8, 912, 10. Change "
            "one number to draw that candidate again. Empty entries count up from seed.",
        ),
        io.Int.Input(
            "batch",
            optional=True,
            default=_OPTIONAL["batch"],
            min=1,
            max=MOST,
            tooltip="How many are drawn at once; halved where the memory does not suffice. 1: "
            "each is shown and kept as soon as it is done. The pictures stay the same.",
        ),
        io.Combo.Input(
            "pipeline",
            optional=True,
            options=host.pipeline_names(),
            default=_OPTIONAL["pipeline"],
            tooltip="Instead of an image model: a diffusers pipeline, a folder in "
            "models/diffusers with a model_index.json and safetensors weights.",
        ),
        io.String.Input(
            "picture_folder",
            optional=True,
            default=_OPTIONAL["picture_folder"],
            tooltip="Instead of an image model: a folder of your own pictures, below ComfyUI's "
            "input folder.",
        ),
        io.Combo.Input(
            "fit",
            optional=True,
            options=list(host.FIT_RULES),
            default=_OPTIONAL["fit"],
            tooltip="How your own pictures get width and height. crop: fill the frame and cut "
            "both sides equally. pad: show all, with gray around. stretch: distort.",
        ),
    ]
