"""Two experts as graphs, and what each of them was given, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import checkpoints
import torch
from graphs import Builder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_hold import Outcome, Runner

BOUNDARY = 0.875
SHIFT, HIGH_STEPS = 8.0, 4  # of 6 steps of the simple schedule, those at sigma 0.875 or more
CFG, LOW_CFG = 4.0, 2.0


def write_other(folder: Path) -> str:
    """A checkpoint of the tiny Wan's shape with weights of its own; its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    with safe_open(checkpoints.TINY, "pt") as file:
        metadata = file.metadata()
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: w + 0.3 * w.float().std() * torch.randn(w.shape, generator=generator).to(w)
        if w.ndim > 1
        else w
        for key, w in load_file(checkpoints.TINY).items()
    }
    save_file(tensors, folder / "other_expert.safetensors", metadata=metadata)
    return "other_expert.safetensors"


class Pair(Builder):
    """The tiny Wan with its LoRA as `model`, another as `low`, both with the same anchor."""

    def __init__(self, other: str | None, *, batch: int = 1, cache: dict | None = None, **anchor):
        """other: its file, or None for the tiny Wan without LoRA (then both share weights)."""
        super().__init__()
        self.world()
        loader, _ = self.image_model
        low = self.add("UNETLoader", unet_name=other, weight_dtype="default") if other else loader
        self.low = self._anchored([low, 0], batch, cache, anchor)
        self.model = self._anchored(self.model, batch, cache, anchor)

    def _anchored(self, model: list, batch: int, cache: dict | None, anchor: dict) -> list:
        self.model = model
        # Stock samplers take the schedule from the MODEL.
        self.wrap("ModelSamplingSD3", shift=SHIFT)
        if cache:
            self.wrap("EasyCache", **cache)
        self.inject(image=self.pictures(batch), **anchor)
        return self.model

    def probed(self, names: tuple[str, str]) -> None:
        self.model, self.low = (
            [self.add("FVGProbe", model=m, name=n), 0]
            for m, n in zip((self.model, self.low), names, strict=True)
        )

    def sample_pair(self, **more) -> list:
        settings = {"steps": 6, "shift": SHIFT, "cfg": CFG, "low_noise_cfg": LOW_CFG, **more}
        return self.sample(low_noise_model=self.low, **settings)

    def sample_by_hand(self, **more) -> list:
        """Two stock samplers with leftover noise between them."""
        latent = self.latent
        for model, cfg, start, end, noise in (
            (self.model, CFG, 0, HIGH_STEPS, "enable"),
            (self.low, LOW_CFG, HIGH_STEPS, 10_000, "disable"),
        ):
            node = self.add(
                "KSamplerAdvanced", model=model, positive=self.positive, negative=self.negative,
                latent_image=latent, noise_seed=1, steps=6, cfg=cfg, add_noise=noise,
                scheduler="simple", start_at_step=start, end_at_step=end,
                return_with_leftover_noise=noise, **{"sampler_name": "euler", **more},
            )  # fmt: skip
            latent = [node, 0]
        return latent


class Experts(Runner):
    """Runs pairs and reads what both experts were given."""

    def pair(self, graph: Pair, sampled=Pair.sample_pair, **sampling) -> tuple[Outcome, Outcome]:
        """What the high-noise and the low-noise expert saw of one run."""
        names, clean, final = (self.name(), self.name()), self.name(), self.name()
        graph.save(graph.latent, clean)
        graph.probed(names)
        graph.save(sampled(graph, **sampling), final)
        self.run(graph)
        return tuple(self._seen(name, self.latent(clean), self.latent(final)) for name in names)

    def pair_as_plain_tensors(self, graph: Pair, **how) -> tuple[Outcome, Outcome]:
        """What `pair` returns, where plain tensors sample the same video."""
        result, schedule = self.name(), {"scheduler": "simple", "steps": 6, "denoise": 1.0}
        sigmas = [graph.add("BasicScheduler", model=graph.model, **schedule), 0]
        reference = graph.add(
            "FVGReferenceEuler", model=graph.model, low_model=graph.low, positive=graph.positive,
            negative=graph.negative, latent=graph.latent, frame=0, seed=1, cfg=CFG,
            low_cfg=LOW_CFG, boundary=BOUNDARY, sigmas=sigmas, name=self.name(), **how,
        )  # fmt: skip
        graph.save([reference, 0], result)
        high, low = self.pair(graph, sigmas=sigmas)
        expected = self.latent(result)
        assert (high.final - expected).abs().max() <= 1e-4 * expected.abs().max()
        return high, low

    def _seen(self, name: str, clean: torch.Tensor, final: torch.Tensor) -> Outcome:
        record = load_file(self.comfy.output / f"{name}.safetensors")
        calls = [
            {k: record[f"{k}{key[-4:]}"] for k in ("x", "t", "branch", "sigma", "frames")}
            for key in sorted(k for k in record if k.startswith("branch"))
        ]
        return Outcome(clean, final, record["unpinned"], calls)

    def video(self, graph: Builder, sampled: list) -> torch.Tensor:
        name = self.name()
        graph.save(sampled, name)
        self.run(graph)
        return self.latent(name)
