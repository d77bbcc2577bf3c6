"""The groups of a template: 1 prompt, 2 anchor, 3 choose, 4 animate. Pixels throughout."""

from __future__ import annotations

from dataclasses import dataclass

from fvg_core.backbones.base import ModelFile

from .recipes import IMAGE_FILES, WRITER_FILE, Lora, Recipe, link
from .sheet import TITLE_PX, Box, Output, Sheet

TOP = 60  # of the first node in a row, below the group's title and the node's own
GAP = 60  # between nodes, one below the other; the title bar takes half of it
TALL = 800  # of a node with a page, and of the first row
SIDE = 20  # between a group's frame and its nodes
PURPLE = {"color": "#323", "bgcolor": "#535"}


class Column:
    """Nodes of one width, one below the other."""

    def __init__(self, x: float, y: float, width: float) -> None:
        self.x, self.y, self.width = x, y, width

    @property
    def right(self) -> float:
        return self.x + self.width

    def take(self, height: float) -> Box:
        """The place of the next node."""
        box = Box(self.x, self.y, self.width, height)
        self.y += height + GAP
        return box

    @property
    def bottom(self) -> float:
        return self.y - GAP


def frame(sheet: Sheet, title: str, columns: list[Column], top: float, color: str) -> float:
    """A group around columns whose nodes begin at `top`; its right edge."""
    left, right = columns[0].x - SIDE, columns[-1].right + SIDE
    head = top - TITLE_PX - 50
    height = max(top + TALL, *(column.bottom for column in columns)) - head + SIDE
    sheet.group(title, Box(left, head, right - left, height), color)
    return right


@dataclass(frozen=True)
class Loaded:
    """A model with what belongs to it."""

    model: Output
    clip: Output
    vae: Output


@dataclass(frozen=True)
class Prompts:
    """What the rewriter gives."""

    first_frame: Output
    video: Output
    report: Output


def unet(sheet: Sheet, column: Column, title: str, file: ModelFile) -> Output:
    made = sheet.node(
        "UNETLoader", column.take(82), title=title, models=link(file),
        unet_name=file.name, weight_dtype="default",
    )  # fmt: skip
    return made["MODEL"]


def clip(sheet: Sheet, column: Column, title: str, file: ModelFile, kind: str) -> Output:
    made = sheet.node(
        "CLIPLoader", column.take(106), title=title, models=link(file),
        clip_name=file.name, type=kind, device="default",
    )  # fmt: skip
    return made["CLIP"]


def vae(sheet: Sheet, column: Column, title: str, file: ModelFile) -> Output:
    made = sheet.node(
        "VAELoader", column.take(58), title=title, models=link(file), vae_name=file.name
    )
    return made["VAE"]


def rewriter(sheet: Sheet, x: float, recipe: Recipe) -> tuple[Prompts, float]:
    """Group 1; its right edge."""
    side, main = Column(x + SIDE, TOP, 330), Column(x + SIDE + 330 + 40, TOP, 400)
    given, widgets = {}, {"backend": "rules"}
    if recipe.language_model:
        given["clip"] = clip(sheet, side, "Language Model", WRITER_FILE, "lumina2")
        widgets = {"backend": "clip", "rules_as_fallback": True}
        sheet.note(side.take(300), "About the language model", _LANGUAGE_MODEL)
    else:
        sheet.note(side.take(300), "About the rewriter", _RULES)
    made = sheet.node(
        "FVGFirstFramePromptRewriter", main.take(TALL), given, colors=PURPLE,
        prompt=recipe.prompt, **widgets,
    )  # fmt: skip
    right = frame(sheet, "1  Prompt", [side, main], TOP, "#a1309b")
    return Prompts(made["first_frame_prompt"], made["video_prompt"], made["report"]), right


def image_model(sheet: Sheet, column: Column) -> Loaded:
    transformer, encoder, autoencoder = IMAGE_FILES
    model = unet(sheet, column, "Image Model", transformer)
    shifted = sheet.node("ModelSamplingAuraFlow", column.take(58), {"model": model}, shift=3.1)
    text = clip(sheet, column, "Image Model's Text Encoder", encoder, "qwen_image")
    pictures = vae(sheet, column, "Image Model's VAE", autoencoder)
    sheet.note(column.take(250), "About the image model", _IMAGE_MODEL)
    return Loaded(shifted["MODEL"], text, pictures)


def generator(
    sheet: Sheet, box: Box, image: Loaded, size: tuple[int, int], prompt: Output | str, title: str
) -> Output:
    """`prompt` is another node's, or a text of its own."""
    given = {"model": image.model, "clip": image.clip, "vae": image.vae}
    widgets = {"width": size[0], "height": size[1], "seed": 7}
    if isinstance(prompt, Output):
        given["prompt"] = prompt
    else:
        widgets["prompt"] = prompt
    made = sheet.node("FVGAnchorImageGenerator", box, given, title=title, **widgets)
    return made["images"]


def draw(sheet: Sheet, x: float, recipe: Recipe, prompts: Prompts) -> tuple[list[Output], float]:
    """Group 2: candidates of the first frame, and of the last one where there is one."""
    columns = [Column(x + SIDE, TOP, 330), Column(x + SIDE + 330 + 40, TOP, 380)]
    image = image_model(sheet, columns[0])
    place = columns[1].take(TALL)
    title = "First-Frame Candidates" if recipe.last_frame else "Anchor Image Generator"
    drawn = [generator(sheet, place, image, recipe.drawn, prompts.first_frame, title)]
    if recipe.last_frame:
        columns.append(Column(columns[1].right + 40, TOP, 380))
        place, title = columns[2].take(TALL), "Last-Frame Candidates"
        drawn.append(generator(sheet, place, image, recipe.drawn, recipe.last_frame, title))
    return drawn, frame(sheet, "2  Anchor", columns, TOP, "#b58b2a")


def choose(
    sheet: Sheet, x: float, drawn: list[Output], prompts: Prompts
) -> tuple[list[Output], float]:
    """Group 3: one picker for each set of candidates."""
    columns, chosen = [], []
    titles = ["Anchor Picker"] if len(drawn) == 1 else ["First Frame", "Last Frame"]
    for number, images in enumerate(drawn):
        left = columns[-1].right + 40 if columns else x + SIDE
        columns.append(Column(left, TOP, 380))
        given = {"images": images, **({} if number else {"report": prompts.report})}
        made = sheet.node("FVGAnchorPicker", columns[-1].take(TALL), given, title=titles[number])
        chosen.append(made["image"])
    columns.append(Column(columns[-1].right + 40, TOP, 300))
    sheet.note(columns[-1].take(400), "About choosing", _CHOOSING)
    return chosen, frame(sheet, "3  Choose", columns, TOP, "#3f789e")


def video_model(sheet: Sheet, column: Column, recipe: Recipe) -> tuple[Loaded, Output | None]:
    """The video model with its LoRAs, and its low-noise expert if it has one."""
    experts = []
    names = ["Video Model"]
    if len(recipe.files("diffusion_models")) == 2:
        names = ["High-Noise Expert", "Low-Noise Expert"]
    for name, file in zip(names, recipe.files("diffusion_models"), strict=True):
        experts.append(unet(sheet, column, name, file))
    experts = [
        _anchor_lora(sheet, column, model, lora, name if len(names) == 2 else "")
        for name, model, lora in zip(names, experts, recipe.loras, strict=True)
    ] if recipe.loras else experts  # fmt: skip
    (encoder,), (autoencoder,) = recipe.files("text_encoders"), recipe.files("vae")
    text = clip(sheet, column, "Video Model's Text Encoder", encoder, recipe.clip_type)
    decoder = vae(sheet, column, "Video Model's VAE", autoencoder)
    return Loaded(experts[0], text, decoder), experts[1] if len(experts) == 2 else None


def _anchor_lora(sheet: Sheet, column: Column, model: Output, lora: Lora, expert: str) -> Output:
    title = f"Anchor LoRA, {expert}" if expert else "Anchor LoRA"
    made = sheet.node(
        "LoraLoaderModelOnly", column.take(82), {"model": model}, title=title,
        lora_name=lora.file, strength_model=1.0,
    )  # fmt: skip
    return made["MODEL"]


def inject(
    sheet: Sheet, column: Column, recipe: Recipe, loaded: Loaded, chosen: list[Output]
) -> tuple[Output, Output]:
    """MODEL and LATENT with the chosen pictures in them."""
    own = recipe.spec.sampling
    model, latent = loaded.model, None
    for picture, where in zip(chosen, ("first", "last"), strict=False):
        given = {"model": model, "vae": loaded.vae, "image": picture}
        made = sheet.node(
            "FVGAnchorLatentInjector", column.take(330),
            {**given, "latent": latent} if latent else given,
            title="Anchor Latent Injector" if len(chosen) == 1 else f"Inject the {where} frame",
            frame=where, width=own.width, height=own.height, length=own.frames,
        )  # fmt: skip
        model, latent = made["MODEL"], made["LATENT"]
    return model, latent


def animate(
    sheet: Sheet, x: float, top: float, recipe: Recipe, prompts: Prompts, chosen: list[Output]
) -> None:
    """Group 4: models, prompts, injectors, sampler and the finished video."""
    widths = (360, 360, 340, 380, 340, 480)
    columns = []
    for width in widths:
        left = columns[-1].right + 40 if columns else x + SIDE
        columns.append(Column(left, top, width))
    loaders, texts, anchors, sampling, result, watching = columns
    loaded, low = video_model(sheet, loaders, recipe)
    positive, negative = (
        sheet.node(
            "CLIPTextEncode", texts.take(140), {"clip": loaded.clip, **given}, title=title, **text
        )["CONDITIONING"]
        for title, given, text in (
            ("Video Prompt", {"text": prompts.video}, {}),
            ("Negative Prompt", {}, {"text": recipe.negative}),
        )
    )
    sheet.note(texts.take(240), "About animating", _ANIMATING)
    model, latent = inject(sheet, anchors, recipe, loaded, chosen)
    given = {"model": model, "positive": positive, "negative": negative, "latent": latent}
    settings = {"sampler_name": recipe.sampler}
    if low is not None:
        given["low_noise_model"] = low
        settings["low_noise_cfg"] = recipe.spec.sampling.cfg_low_noise
        settings["boundary"] = recipe.spec.expert_boundary
    sampled = sheet.node(
        "FVGAnchoredWanSampler", sampling.take(680), given, seed=7, **settings
    )["LATENT"]  # fmt: skip
    images = sheet.node("VAEDecode", result.take(46), {"samples": sampled, "vae": loaded.vae})
    video = sheet.node(
        "CreateVideo", result.take(106), {"images": images["IMAGE"]}, fps=recipe.spec.fps
    )
    sheet.note(result.take(200), "About the result", _RESULT)
    sheet.node(
        "SaveVideo", watching.take(560), {"video": video["VIDEO"]},
        filename_prefix=f"fvg/{recipe.name.removeprefix('fvg_')}", format="mp4", codec="h264",
    )  # fmt: skip
    frame(sheet, "4  Animate", columns, top, "#8A8")


_LANGUAGE_MODEL = """
Qwen3 4B, which ComfyUI loads like a text encoder, writes the first-frame prompt. Its answer is
checked; where it fails three times, the **rules** write it.

No language model at hand? Delete this loader and set **backend** to `rules`: no model, at once,
English only.
"""
_RULES = """
The **rewriter** keeps every thing, colour, number and place of your prompt and drops what happens
later. You can edit its text in the node. The video model still gets your *original* prompt.

`rules` needs no model and reads English. A language model does better: the template
**fvg_wan22_5b** shows one, and the node's help (press **?**) has more.
"""
_IMAGE_MODEL = """
**Qwen-Image**, as in the paper: 50 steps, CFG 4. Faster: 20 steps.

Any image model of ComfyUI will do: connect its MODEL, CLIP and VAE instead, with its own steps and
CFG. Pictures of your own: connect *Load Image* to **pictures**, and nothing is drawn.

The candidates stay in `output/fvg/anchors` and are not drawn twice.
"""
_CHOOSING = """
The run stops at the **picker** and shows the candidates. **Click one**: it becomes the frame, and
the video is made.

Look at it as at the first frame of your video: is everything there, in the right number, colour
and place? What is missing here will be missing in the video.

You are not asked again until the candidates change. To choose without looking set **policy** to
`first`, `explicit` or `seeded`.
"""
_ANIMATING = """
The **injector** encodes the picture, puts it into an empty video and hands out a MODEL that keeps
it: that frame of the result *is* the picture.

The **sampler** needs 15 steps with an anchor, where 50 are usual without (paper, section 5.3,
shown for Wan 2.2 5B). **cfg** and **shift** 0 are the model's own.
"""
_RESULT = """
The MP4 carries this whole graph: drop it on the canvas to get it back.

Out of memory? Use a smaller **width**, **height** or **length** in the injector, or *VAE Decode
(Tiled)*.
"""
