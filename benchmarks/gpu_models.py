"""Models of the published sizes with random weights, in the host's own code, and what they sample.

Speed and memory depend on shapes, not on values. Imports the host (ComfyUI), so its folder must
come first on the path, and the pack as the package `fvg_pack` (benchmarks/bench_gpu.py `join`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.ldm.wan.vae
import comfy.ldm.wan.vae2_2
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.sd
import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from fvg_pack.fvg_core.anchor import AnchorPlan
from fvg_pack.fvg_core.backbones import BackboneSpec, wan
from fvg_pack.fvg_core.backbones.base import Size
from fvg_pack.fvg_core.backbones.table import latent_shape
from fvg_pack.fvg_core.guidance import GuidanceInterval
from fvg_pack.nodes.host.guiders import LowNoiseExpert
from fvg_pack.nodes.host.hold import anchored_model
from fvg_pack.nodes.host.sampling import sample_video, schedule

TEXT = (512, 4096)  # tokens and features of UMT5 XXL
_VAES = {
    16: lambda dim: comfy.ldm.wan.vae.WanVAE(
        dim=dim, z_dim=16, temperal_downsample=[False, True, True]
    ),
    48: lambda dim: comfy.ldm.wan.vae2_2.WanVAE(
        dim=160, z_dim=48, temperal_downsample=[False, True, True]
    ),
}
SMALL = replace(
    wan.WAN21_1_3B,
    name="small",
    size=Size(dim=128, ffn=256, layers=2),
    sampling=replace(wan.WAN21_1_3B.sampling, width=64, height=64, frames=17),
)
MODELS = {
    "1.3B": wan.WAN21_1_3B,
    "5B": wan.WAN22_5B,
    "14B": wan.WAN21_14B,
    "A14B": wan.WAN22_A14B,
    "small": SMALL,
    "small experts": replace(SMALL, name="small experts", expert_boundary=0.875),
}


@dataclass
class Bench:
    """One model (or two experts), its VAE, and the prompts and the empty clip that it gets."""

    spec: BackboneSpec
    experts: list[Any]
    vae: Any
    prompts: dict[str, list]
    plan: AnchorPlan
    # The host takes a loaded model whose MODEL is gone for a leak.
    kept: list[Any] = field(default_factory=list)

    @classmethod
    def build(cls, spec: BackboneSpec, dtype: torch.dtype) -> Bench:
        frames, h, w = latent_shape(spec)
        text = lambda: [[torch.randn(1, *TEXT), {}]]
        own = spec.expert_boundary is not None and spec is not wan.WAN21
        return cls(
            spec,
            [_model(spec, dtype) for _ in range(2 if own else 1)],
            _vae(spec.latent_channels, 96 if spec.size != SMALL.size else 8),
            {"positive": text(), "negative": text()},
            AnchorPlan.empty(1, spec.latent_channels, frames, h, w),
        )

    @property
    def device(self) -> torch.device:
        return self.experts[0].load_device

    def encoded(self) -> torch.Tensor:
        """A picture of the video's size, encoded."""
        own = self.spec.sampling
        return self.vae.encode(torch.rand(1, own.height, own.width, 3))

    def sample(self, kind: str, steps: int, change=lambda model: model) -> tuple[Any, list[float]]:
        """The latent, and the seconds of every step but the last. kind: 'stock' is the host's own
        guider without anchors, 'plain' ours without anchors, 'anchored' ours with a first frame.
        """
        own, clock = self.spec.sampling, Clock()
        changed = [change(model) for model in self.experts]
        models = [clock.attached(model) for model in changed]
        self.kept += [*changed, *models]
        sigmas = schedule(models[0], "simple", steps, own.shift[0])
        if kind == "stock":
            guider = comfy.samplers.CFGGuider(models[0])
            guider.set_conds(**self.prompts)
            guider.set_cfg(own.cfg)
            solver = comfy.samplers.sampler_object("euler")
            noise = torch.randn_like(self.plan.clean)
            out = guider.sample(noise, self.plan.clean, solver, sigmas, disable_pbar=True, seed=1)
            return out, clock.seconds()
        latent = {"samples": self.plan.clean}
        if kind == "anchored":
            plan = self.plan.with_anchor(0, torch.randn_like(self.plan.clean[:, :, :1]))
            latent = {"samples": plan.clean, "noise_mask": plan.mask}
        models = [anchored_model(model) for model in models]
        self.kept += models
        low = None
        if len(models) == 2:
            low = LowNoiseExpert(models[1], own.cfg_low_noise or own.cfg, self.spec.expert_boundary)
        sampled = sample_video(
            models[0], **self.prompts, latent=latent, seed=1, cfg=own.cfg, sampler_name="euler",
            sigmas=sigmas, interval=GuidanceInterval(), low=low,
        )  # fmt: skip
        return sampled["samples"], clock.seconds()


class Clock:
    """The start of every step. It waits for the device, as a step's previewer does."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def attached(self, model):
        model = model.clone()
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "clock", self._predict_noise)
        return model

    def _predict_noise(self, executor, *args, **kwargs):
        self.starts.append(now())
        return executor(*args, **kwargs)

    def seconds(self) -> list[float]:
        return [b - a for a, b in zip(self.starts, self.starts[1:], strict=False)]


def now() -> float:
    """Seconds, once the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def compiled(backend: str):
    """A change to a MODEL: torch.compile, as the host's own node does it."""

    def change(model):
        model = model.clone()
        set_torch_compile_wrapper(model=model, backend=backend)
        return model

    return change


def attending(attention):
    """A change to a MODEL: attention by one of the host's functions."""

    def change(model):
        model = model.clone()
        options = model.model_options.setdefault("transformer_options", {})
        options["optimized_attention_override"] = lambda _, *args, **kwargs: attention(
            *args, **kwargs
        )
        return model

    return change


def unload() -> None:
    """Let the next model find the memory empty."""
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()


def _model(spec: BackboneSpec, dtype: torch.dtype):
    size = spec.size
    sizes = {
        "image_model": "wan2.1", "model_type": "t2v", "dim": size.dim, "ffn_dim": size.ffn,
        "num_layers": size.layers, "num_heads": max(1, size.dim // 128), "freq_dim": 256,
        "in_dim": spec.latent_channels, "out_dim": spec.latent_channels, "patch_size": (1, 2, 2),
        "window_size": (-1, -1), "qk_norm": True, "cross_attn_norm": True, "eps": 1e-6,
    }  # fmt: skip
    config = comfy.model_detection.model_config_from_unet_config(sizes, None)
    eight_bits = dtype.itemsize == 1
    config.set_inference_dtype(dtype, torch.bfloat16 if eight_bits else None)
    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()  # the host decides what is loaded
    model = config.get_model({}, "", device=offload)
    for weight in model.diffusion_model.parameters():
        weight.data.copy_(torch.randn(weight.shape, device=device, dtype=torch.bfloat16) * 0.02)
    return comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=offload)


def _vae(channels: int, dim: int):
    return comfy.sd.VAE(sd=_VAES[channels](dim).state_dict())
