"""The template that asks of one prompt: was it the frame, or the motion?"""

from __future__ import annotations

from collections.abc import Mapping

from fvg_core.diagnose.branches import FVG, OWN, T2V, TITLES
from fvg_core.tiny.render import FPS, FRAMES, SIZE

from .parts import PURPLE, SIDE, Column, frame
from .sheet import Box, Json, Output, Sheet

NAME = "fvg_diagnose"
LORA = "fvg_tiny_anchor_lora.safetensors"
PROMPT = "a red ball moves right and a blue square stays still on a gray background"
SAMPLING = {"steps": 15, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple", "shift": 3.0}
DRAWING = {"steps": 30, "cfg": 3.0, "sampler_name": "euler_ancestral", "candidates": 4}
SQUARE = {"width": SIZE, "height": SIZE}
UPPER, LOWER = 60, 1040  # of the nodes of both rows
COLORS = {T2V: "#8A8", OWN: "#88A", FVG: "#b58b2a"}
Made = dict[str, Output]


def build_diagnosis(info: Mapping[str, Json]) -> Json:
    """The workflow, for the node types in `info`."""
    sheet = Sheet(info)
    sheet.note(Box(0, UPPER, 430, 520), "Start here", _START)
    shared, right = _shared(sheet, 460)
    decoded = {}
    decoded[T2V], right = _plain(sheet, right + 30, shared)
    decoded[OWN], right = _own(sheet, right + 30, shared, decoded[T2V])
    decoded[FVG] = _fvg(sheet, 460, shared)
    _watch(sheet, 1760, shared, decoded)
    return sheet.workflow(0.5, (60, 90))


def _shared(sheet: Sheet, x: float) -> tuple[Made, float]:
    """What all three have in common; and the group's right edge."""
    left, main, texts = (Column(x + SIDE + at, UPPER, wide) for at, wide in (
        (0, 330), (370, 400), (810, 330),
    ))  # fmt: skip
    world = sheet.node("FVGTinyWorldLoader", left.take(110))
    lora = sheet.node(
        "LoraLoaderModelOnly", left.take(82), {"model": world["model"]}, title="Anchor LoRA",
        lora_name=LORA, strength_model=1.0,
    )  # fmt: skip
    seed = sheet.node("PrimitiveInt", left.take(82), title="Seed of all", value=7)
    sheet.note(left.take(220), "About the models", _MODELS)
    words = sheet.node(
        "FVGFirstFramePromptRewriter", main.take(800), colors=PURPLE, prompt=PROMPT, backend="rules"
    )
    given = {"clip": world["clip"]}
    positive = sheet.node(
        "CLIPTextEncode", texts.take(140), {**given, "text": words["video_prompt"]},
        title="Video Prompt",
    )  # fmt: skip
    negative = sheet.node("CLIPTextEncode", texts.take(140), given, title="Negative Prompt")
    right = frame(sheet, "1  Shared by all three", [left, main, texts], UPPER, "#a1309b")
    made = {
        **world, "lora": lora["MODEL"], "seed": seed["INT"],
        "positive": positive["CONDITIONING"], "negative": negative["CONDITIONING"],
        "prompt": words["first_frame_prompt"], "report": words["report"],
    }  # fmt: skip
    return made, right


def _sampled(
    sheet: Sheet, column: Column, way: str, shared: Made, model: Output, latent: Output
) -> Output:
    """Sampler and decoder of a way. The decoder's title is by what the command finds it."""
    given = {name: shared[name] for name in ("positive", "negative", "seed")}
    sampled = sheet.node(
        "FVGAnchoredWanSampler", column.take(560), {**given, "model": model, "latent": latent},
        **SAMPLING,
    )  # fmt: skip
    decoded = sheet.node(
        "VAEDecode", column.take(46), {"samples": sampled["LATENT"], "vae": shared["vae"]},
        title=TITLES[way],
    )  # fmt: skip
    return decoded["IMAGE"]


def _plain(sheet: Sheet, x: float, shared: Made) -> tuple[Output, float]:
    column = Column(x + SIDE, UPPER, 360)
    empty = sheet.node("EmptyHunyuanLatentVideo", column.take(130), length=FRAMES, **SQUARE)
    decoded = _sampled(sheet, column, T2V, shared, shared["model"], empty["LATENT"])
    return decoded, frame(sheet, f"2  {TITLES[T2V]}", [column], UPPER, COLORS[T2V])


def _injected(sheet: Sheet, column: Column, shared: Made, picture: Output) -> Made:
    given = {"model": shared["lora"], "vae": shared["vae"], "image": picture}
    return sheet.node("FVGAnchorLatentInjector", column.take(330), given, length=FRAMES, **SQUARE)


def _own(sheet: Sheet, x: float, shared: Made, plain: Output) -> tuple[Output, float]:
    anchor, column = Column(x + SIDE, UPPER, 340), Column(x + SIDE + 380, UPPER, 360)
    first = sheet.node("ImageFromBatch", anchor.take(82), {"image": plain}, title="Its first frame")
    made = _injected(sheet, anchor, shared, first["IMAGE"])
    shared["own frame"] = first["IMAGE"]
    decoded = _sampled(sheet, column, OWN, shared, made["MODEL"], made["LATENT"])
    return decoded, frame(sheet, f"3  {TITLES[OWN]}", [anchor, column], UPPER, COLORS[OWN])


def _fvg(sheet: Sheet, x: float, shared: Made) -> Output:
    draw, choose, column = (
        Column(x + SIDE + at, LOWER, wide) for at, wide in ((0, 380), (420, 360), (820, 360))
    )
    given = {name: shared[name] for name in ("clip", "vae", "prompt", "seed")}
    drawn = sheet.node(
        "FVGAnchorImageGenerator", draw.take(800), {**given, "model": shared["image_model"]},
        **DRAWING, **SQUARE,
    )["images"]  # fmt: skip
    given = {"images": drawn, "report": shared["report"]}
    scores = sheet.node("FVGAnchorScorer", choose.take(130), given)["scores"]
    picked = sheet.node(
        "FVGAnchorPicker", choose.take(560), {**given, "scores": scores}, policy="best score"
    )["image"]
    shared["drawn frame"] = picked
    made = _injected(sheet, column, shared, picked)
    decoded = _sampled(sheet, column, FVG, shared, made["MODEL"], made["LATENT"])
    frame(sheet, f"4  {TITLES[FVG]}", [draw, choose, column], LOWER, COLORS[FVG])
    return decoded


def _watch(sheet: Sheet, x: float, shared: Made, decoded: Mapping[str, Output]) -> None:
    make, see = Column(x + SIDE, LOWER, 340), Column(x + SIDE + 380, LOWER, 620)
    both = decoded[T2V]
    for way in (OWN, FVG):
        both = sheet.node(
            "ImageStitch", make.take(150), {"image1": both, "image2": decoded[way]},
            title=f"Beside it: {way}", spacing_width=4,
        )["IMAGE"]  # fmt: skip
    large = sheet.node(
        "ImageScaleBy", make.take(82), {"image": both}, upscale_method="lanczos", scale_by=4.0
    )
    video = sheet.node("CreateVideo", make.take(106), {"images": large["IMAGE"]}, fps=float(FPS))
    sheet.node(
        "SaveVideo", see.take(400), {"video": video["VIDEO"]}, filename_prefix="fvg/diagnose",
        format="mp4", codec="h264",
    )  # fmt: skip
    frames = sheet.node(
        "ImageBatch", make.take(46),
        {"image1": shared["own frame"], "image2": shared["drawn frame"]}, title="Both first frames",
    )["IMAGE"]  # fmt: skip
    given = {"images": frames, "report": shared["report"]}
    scores = sheet.node("FVGAnchorScorer", make.take(130), given, title="Are they right?")
    sheet.node("PreviewAny", see.take(300), {"source": scores["scores"]}, title="T2V's, then FVG's")
    sheet.note(see.take(360), "Reading it", _READING)
    frame(sheet, "5  Side by side", [make, see], LOWER, "#3f789e")


_START = """
# Frame or motion?
A text-to-video model got a prompt wrong. Was it the **first frame** (wrong things, a wrong place),
or the **motion** from there?

Three videos of the same words and the same seed:

1. **plain** text-to-video,
2. the same video's **own first frame**, held fixed by the anchor LoRA,
3. **FVG**: a drawn first frame, held fixed.

Press **Run**. Change the prompt in the purple node and the number in *Seed of all*.

In words, for the tiny world: `python -m fvg_core diagnose "..."`
"""
_MODELS = """
Everything here comes with the pack. For real videos replace the loader and the LoRA by your own,
the sizes in the injectors and the empty latent, and the scorers' **backend**.
"""
_READING = """
- Video 2 is right: it was the **motion**. The frame was good enough.
- Only video 3 is right: it was the **frame** (composition).
- Video 3 is wrong too: look at its first frame. If that is wrong, draw other candidates; if it is
  right, the video model cannot do this motion.

The text above says what the scorer sees in both first frames: 1.0 is all of it, nothing else, and
room for what happens.
One seed is one case: try others.
"""
