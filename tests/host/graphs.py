"""API-format graphs on the tiny world, built for the tests of this folder."""

from __future__ import annotations

from typing import Any

from fvg_core.bench.client import ComfyClient

Graph = dict[str, dict[str, Any]]

PROMPT = "a red ball moves right and a blue square stays still on a gray background"
LORA = "fvg_tiny_anchor_lora.safetensors"
SIZE, LENGTH, LATENT_FRAMES = 64, 17, 5


def forget(client: ComfyClient) -> None:
    """Run another job, after which the host has no results of the one before."""
    other = Builder()
    text = other.add("PrimitiveString", value="x")
    other.add("PreviewAny", source=[text, 0])
    client.run(other.graph)


class Builder:
    """Collects nodes; `add` returns the node's id, `builder.out(id, i)` a link to its output."""

    def __init__(self) -> None:
        self.graph: Graph = {}

    def add(self, class_type: str, **inputs: Any) -> str:
        name = f"{class_type} {len(self.graph)}"
        self.graph[name] = {"class_type": class_type, "inputs": inputs}
        return name

    def world(self, *, lora: bool = True) -> None:
        """Loader, LoRA and encoded prompts, as `model`, `clip`, `vae`, `positive`, `negative`."""
        loader = self.add("FVGTinyWorldLoader")
        self.model, self.image_model = [loader, 0], [loader, 1]
        self.clip, self.vae = [loader, 2], [loader, 3]
        if lora:
            self.model = [
                self.add(
                    "LoraLoaderModelOnly", model=self.model, lora_name=LORA, strength_model=1.0
                ),
                0,
            ]
        self.positive = [self.add("CLIPTextEncode", clip=self.clip, text=PROMPT), 0]
        self.negative = [self.add("CLIPTextEncode", clip=self.clip, text=""), 0]

    def pictures(self, count: int = 1) -> list:
        """A batch of flat pictures of different colours: [batch, 64, 64, 3]."""
        image = None
        for color in (0x20A040, 0x4060F0, 0xD03020)[:count]:
            flat = [
                self.add("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=color),
                0,
            ]
            image = (
                flat if image is None else [self.add("ImageBatch", image1=image, image2=flat), 0]
            )
        return image

    def inject(self, **more: Any) -> str:
        """The injector on the current model; its outputs become `model` and `latent`."""
        inputs = {
            "frame": "first",
            "pixel_frame": 0,
            "width": SIZE,
            "height": SIZE,
            "length": LENGTH,
            "batch_size": 1,
            "fit": "crop",
            "anchor_noise": 0.0,
            **more,
        }
        node = self.add("FVGAnchorLatentInjector", model=self.model, vae=self.vae, **inputs)
        self.model, self.latent = [node, 0], [node, 1]
        return node

    def wrap(self, class_type: str, **inputs: Any) -> None:
        """A node that takes and gives a MODEL."""
        self.model = [self.add(class_type, model=self.model, **inputs), 0]

    def sample(self, **more: Any) -> list:
        inputs = {
            "seed": 1,
            "steps": 4,
            "cfg": 5.0,
            "guidance_start": 0.0,
            "guidance_end": 1.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "shift": 3.0,
            **more,
        }
        return self._sampled("FVGAnchoredWanSampler", latent=self.latent, **inputs)

    def sample_stock(self, **more: Any) -> list:
        inputs = {
            "seed": 1,
            "steps": 4,
            "cfg": 5.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "denoise": 1.0,
            **more,
        }
        return self._sampled("KSampler", latent_image=self.latent, **inputs)

    def sample_custom(self, *, sampler: list, steps: int = 4) -> list:
        """With a SAMPLER of one's own."""
        schedule = {"scheduler": "simple", "steps": steps, "denoise": 1.0}
        sigmas = [self.add("BasicScheduler", model=self.model, **schedule), 0]
        return self._sampled(
            "SamplerCustom", latent_image=self.latent, add_noise=True, noise_seed=1, cfg=5.0,
            sampler=sampler, sigmas=sigmas,
        )  # fmt: skip

    def _sampled(self, class_type: str, **inputs: Any) -> list:
        return [
            self.add(
                class_type,
                model=self.model,
                positive=self.positive,
                negative=self.negative,
                **inputs,
            ),
            0,
        ]

    def save(self, latent: list, name: str) -> None:
        self.add("SaveLatent", samples=latent, filename_prefix=name)
