"""The graph that makes the videos of one prompt, from the nodes that a user has."""

from __future__ import annotations

from typing import Any

from benchmarks.paper.ways import IMAGE_SAMPLING, LORA, SAMPLING, WAYS, Cell, Way, Words, key
from fvg_core.tiny.render import FRAMES, SIZE

Link = list[Any]
_SQUARE = {"width": SIZE, "height": SIZE}


class Graph:
    """A prompt for the server as it grows. `nodes` is sent; `saves` are the nodes that keep the
    frames of a name's videos, one after the other, and `stills` those that keep one of each."""

    def __init__(self, words: Words, anchor_file: str) -> None:
        self.nodes: dict[str, Any] = {}
        self.saves: dict[str, str] = {}
        self.stills: dict[str, str] = {}
        self.words = words
        self.model, self.image, self.clip, self.vae = (
            [self.add("world", "FVGTinyWorldLoader")[0], i] for i in range(4)
        )
        self.lora = self.add(
            "lora", "LoraLoaderModelOnly", model=self.model, lora_name=LORA, strength_model=1.0
        )
        self.file = self.add("file", "LoadImage", image=anchor_file)
        self.negative = self.wording("text/none", words.none)

    def add(self, name: str, class_type: str, **inputs: Any) -> Link:
        """A node, once; its first output."""
        self.nodes.setdefault(name, {"class_type": class_type, "inputs": inputs})
        return [name, 0]

    def rewritten(self) -> Link:
        """The first frame's prompt; the second output hands the original on."""
        return self.add(
            "rewriter", "FVGFirstFramePromptRewriter",
            prompt=self.words.original, backend="rules", seed=0,
        )  # fmt: skip

    def text(self, way: Way) -> Link:
        """What a way's video model is told; the original through the rewriter, where there is
        one."""
        if way.words == "original" and way.anchor == "rewritten":
            return self.wording("text/handed on", [self.rewritten()[0], 1])
        return self.wording(f"text/{way.words}", getattr(self.words, way.words))

    def wording(self, name: str, said: Link | str) -> Link:
        """Any text for the video model."""
        return self.add(name, "CLIPTextEncode", clip=self.clip, text=said)

    def anchors(self, kind: str, seed: int, count: int) -> Link:
        """`count` first frames of a kind (see `Way.anchor`), as one batch."""
        name = f"{kind}/{seed}x{count}"
        if kind == "true":
            return self.add(name, "RepeatImageBatch", image=self.file, amount=count)
        prompt = self.rewritten() if kind == "rewritten" else self.words.original
        return self.add(
            name, "FVGAnchorImageGenerator", model=self.image, clip=self.clip, vae=self.vae,
            prompt=prompt, negative="", candidates=count, seed=seed, **_SQUARE, **IMAGE_SAMPLING,
        )  # fmt: skip

    def one_anchor(self, batch: Link, index: int) -> Link:
        """One picture of a batch."""
        name = f"{batch[0]}[{index}]"
        return self.add(name, "ImageFromBatch", image=batch, batch_index=index, length=1)

    def video(
        self, name: str, way: Way, steps: int, seed: int, count: int,
        anchor: Link | None = None, text: Link | None = None,
    ) -> None:  # fmt: skip
        """`count` videos by a way, saved under a name. anchor, text: in place of the way's own."""
        if way.held == "still":
            held = self.anchors(way.anchor, seed, count)
            saved = self.add(f"{name}/save", "SaveImage", images=held, filename_prefix="paper")
            self.stills[name] = saved[0]
            return
        model = self.lora if way.lora else self.model
        if way.anchor:
            picture = anchor or self.anchors(way.anchor, seed, count)
            injected = self._injected(f"{name}/inject", model, picture, count if anchor else 1)
            latent = [injected[0], 1]
            model = self.add(f"{name}/time", "FVGBenchSharedTime", model=injected) if (
                way.held == "shared time"
            ) else model if way.held == "noised" else injected  # fmt: skip
        else:
            size = {**_SQUARE, "length": FRAMES, "batch_size": count}
            latent = self.add(f"empty x{count}", "EmptyHunyuanLatentVideo", **size)
        given = {
            "model": model, "latent": latent, "positive": text or self.text(way),
            "negative": self.negative, "seed": seed, "steps": steps,
        }  # fmt: skip
        self._decoded(name, self._sampled(f"{name}/sample", given, noised=way.held == "noised"))

    def _injected(self, name: str, model: Link, picture: Link, count: int) -> Link:
        return self.add(
            name, "FVGAnchorLatentInjector", model=model, vae=self.vae, image=picture,
            frame="first", pixel_frame=0, length=FRAMES, batch_size=count, fit="crop",
            anchor_noise=0.0, **_SQUARE,
        )  # fmt: skip

    def _sampled(self, name: str, given: dict[str, Any], noised: bool) -> Link:
        if not noised:
            return self.add(name, "FVGAnchoredWanSampler", **given, **SAMPLING)
        # ComfyUI's own inpainting: at every step the anchor with noise of that step (RePaint).
        stock = {k: SAMPLING[k] for k in ("cfg", "sampler_name", "scheduler")}
        given["latent_image"] = given.pop("latent")
        shifted = self.add(
            f"{name}/shift", "ModelSamplingSD3", model=given.pop("model"), shift=SAMPLING["shift"]
        )
        return self.add(name, "KSampler", model=shifted, denoise=1.0, **given, **stock)

    def _decoded(self, name: str, latent: Link) -> None:
        images = self.add(f"{name}/decode", "VAEDecode", samples=latent, vae=self.vae)
        self.saves[name] = self.add(
            f"{name}/save", "SaveAnimatedWEBP", images=images, filename_prefix="paper", fps=8.0,
            lossless=True, quality=100, method="fastest",
        )[0]  # fmt: skip


def ways_graph(words: Words, file: str, seed: int, count: int, wanted: list[Cell]) -> Graph:
    """Every wanted cell on one prompt, `count` videos each."""
    graph = Graph(words, file)
    for cell in wanted:
        graph.video(key(cell), WAYS[cell[0]], cell[1], seed, count)
    return graph
