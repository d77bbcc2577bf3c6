"""What is compared: anchor, LoRA and numbers of steps of every way, and the graph of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fvg_core.tiny.lab.render import FRAMES, SIZE

LORA = "fvg_tiny_anchor_lora.safetensors"
SAMPLING = {
    "cfg": 3.0,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "shift": 3.0,
}
IMAGE_SAMPLING = {
    "steps": 30,
    "cfg": 3.0,
    "sampler_name": "euler_ancestral",
    "scheduler": "simple",
}
ALL_STEPS = (50, 30, 15, 8, 4)  # Table 7 and Fig. 4
BASE = "T2V"


@dataclass(frozen=True)
class Way:
    """anchor: None, 'true' (the drawn first frame), 'rewritten' or 'raw' (generated from the
    rewritten or the original prompt)."""

    anchor: str | None
    lora: bool
    steps: tuple[int, ...] = ALL_STEPS


WAYS = {
    BASE: Way(None, False),
    "T2V + LoRA, no anchor": Way(None, True),
    "FVG": Way("rewritten", True),
    "FVG, true anchor": Way("true", True),
    "anchor without the LoRA": Way("true", False, (15,)),  # section 4.1
    "FVG, raw caption": Way("raw", True, (15,)),  # section 6.1
}


@dataclass(frozen=True)
class Run:
    """seeds: videos of each way; steps: of ALL_STEPS, those to be made."""

    seeds: int
    steps: tuple[int, ...]

    def cells(self) -> list[tuple[str, int]]:
        return [(way, n) for way, w in WAYS.items() for n in w.steps if n in self.steps]


def graph(
    prompt: str, anchor_file: str, seed: int, run: Run
) -> tuple[dict[str, Any], dict[tuple[str, int], str]]:
    """Every way on one prompt. Returns the graph and its save node by (way, steps)."""
    nodes: dict[str, Any] = {}

    def add(name: str, class_type: str, **inputs: Any) -> list[Any]:
        nodes[name] = {"class_type": class_type, "inputs": inputs}
        return [name, 0]

    size = {"width": SIZE, "height": SIZE}
    video, image, clip, vae = ([add("world", "FVGTinyWorldLoader")[0], i] for i in range(4))
    lora = add("lora", "LoraLoaderModelOnly", model=video, lora_name=LORA, strength_model=1.0)
    rewritten = add(
        "rewriter", "FVGFirstFramePromptRewriter", prompt=prompt, backend="rules", seed=0
    )
    positive = add("positive", "CLIPTextEncode", clip=clip, text=["rewriter", 1])
    negative = add("negative", "CLIPTextEncode", clip=clip, text="")
    file = add("file", "LoadImage", image=anchor_file)
    anchors = {"true": add("true", "RepeatImageBatch", image=file, amount=run.seeds)}
    for kind, text in (("rewritten", rewritten), ("raw", prompt)):
        anchors[kind] = add(
            kind, "FVGAnchorImageGenerator", model=image, clip=clip, vae=vae, prompt=text,
            negative="", candidates=run.seeds, seed=seed, **size, **IMAGE_SAMPLING,
        )  # fmt: skip
    size["length"] = FRAMES
    empty = add("empty", "EmptyHunyuanLatentVideo", **size, batch_size=run.seeds)
    saves = {}
    for name, steps in run.cells():
        way = WAYS[name]
        model, latent = lora if way.lora else video, empty
        if way.anchor:
            injected = add(
                f"{name}/inject", "FVGAnchorLatentInjector", model=model, vae=vae,
                image=anchors[way.anchor], frame="first", pixel_frame=0, batch_size=1,
                fit="crop", anchor_noise=0.0, **size,
            )  # fmt: skip
            model, latent = injected, [injected[0], 1]
        cell = f"{name}/{steps}"
        sampled = add(
            f"{cell}/sample", "FVGAnchoredWanSampler", model=model, latent=latent, seed=seed,
            positive=positive, negative=negative, steps=steps, **SAMPLING,
        )  # fmt: skip
        decoded = add(f"{cell}/decode", "VAEDecode", samples=sampled, vae=vae)
        saves[name, steps] = add(
            f"{cell}/save", "SaveAnimatedWEBP", images=decoded, filename_prefix="paper", fps=8.0,
            lossless=True, quality=100, method="fastest",
        )[0]  # fmt: skip
    return nodes, saves
