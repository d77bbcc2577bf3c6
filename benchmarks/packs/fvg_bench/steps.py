"""Times the sampling steps of several variants in turn, in the server's own process."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import comfy.model_management
import folder_paths
import nodes
import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import io

SAMPLING = {"sampler_name": "euler", "scheduler": "simple"}


def now() -> float:
    """Seconds, once the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Stopwatch:
    """Times every step, and the model's forward within it, by the wall and by this thread's CPU.

    Attached behind all other wrappers, so the model's share holds none of their time. On a busy
    machine the thread's own time says what was done, and the wall's how long one waited.
    """

    def __init__(self) -> None:
        self.starts: list[tuple[float, float]] = []
        self.shares: list[dict[str, float]] = []

    def attached(self, model):
        model = model.clone()
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "stopwatch", self._predict_noise)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "stopwatch", self._diffusion_model)
        return model

    def _predict_noise(self, executor, *args, **kwargs):
        self.starts.append((now(), time.thread_time()))
        self.shares.append({"model": 0.0, "model_cpu": 0.0, "evaluations": 0})
        return executor(*args, **kwargs)

    def _diffusion_model(self, executor, x, *args, **kwargs):
        wall, cpu = now(), time.thread_time()
        out = executor(x, *args, **kwargs)
        share = self.shares[-1]
        share["model"] += now() - wall
        share["model_cpu"] += time.thread_time() - cpu
        share["evaluations"] += x.shape[0]
        return out

    def steps(self) -> list[dict[str, float]]:
        """All steps but the first, which warms up, and the last, which has no next one."""
        return [
            {"step": after[0] - before[0], "step_cpu": after[1] - before[1], **share}
            for before, after, share in zip(self.starts, self.starts[1:], self.shares, strict=False)
        ][1:]


class TimeSteps(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchSteps",
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="Without any wrapper of ours."),
                io.Model.Input("anchored_model", tooltip="The same from the injector."),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent", tooltip="Without anchors."),
                io.Latent.Input("anchored_latent"),
                io.Int.Input("steps", min=4, max=1000),
                io.Int.Input("rounds", min=1, max=1000),
                io.Float.Input("cfg"),
                io.String.Input("name"),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls,
        model,
        anchored_model,
        positive,
        negative,
        latent,
        anchored_latent,
        steps,
        rounds,
        cfg,
        name,
    ) -> io.NodeOutput:
        common = {"seed": 1, "steps": steps, "cfg": cfg, **SAMPLING}
        common |= {"positive": positive, "negative": negative}
        ours = nodes.NODE_CLASS_MAPPINGS["FVGAnchoredWanSampler"].PREPARE_CLASS_CLONE(None).execute
        more = {"guidance_start": 0.0, "guidance_end": 1.0, "shift": 8.0}

        def stock(watch):
            nodes.common_ksampler(watch.attached(model), latent=latent, **common)

        def plain(watch):
            with without_preview(model):
                ours(model=watch.attached(anchored_model), latent=latent, **common, **more)

        def anchored(watch):
            with without_preview(model):
                shown(watch)

        def shown(watch):
            ours(model=watch.attached(anchored_model), latent=anchored_latent, **common, **more)

        # "stock again" is the same thing twice: what differs is the noise of the machine.
        variants = {"stock": stock, "stock again": stock}
        variants |= {"plain": plain, "anchored": anchored, "shown": shown}
        runs = in_turns(variants, rounds)
        runs |= time_modulation(model, positive, anchored_latent["samples"].shape, steps * rounds)
        record = {
            "device": str(model.load_device),
            "torch_threads": torch.get_num_threads(),
            "dtype": str(model.model.get_dtype_inference()),
            "latent": list(anchored_latent["samples"].shape),
            "runs": runs,
        }
        path = Path(folder_paths.get_output_directory()) / f"{name}.json"
        path.write_text(json.dumps(record), encoding="utf-8")
        return io.NodeOutput()


@contextlib.contextmanager
def without_preview(model):
    """Take away what our sampler's preview is made with; the host's own is off by default."""
    latent_format = model.model.latent_format
    factors, latent_format.latent_rgb_factors = latent_format.latent_rgb_factors, None
    try:
        yield
    finally:
        latent_format.latent_rgb_factors = factors


def in_turns(variants, rounds: int) -> dict[str, list[list[dict[str, float]]]]:
    """One warming round, then `rounds` measured ones; each begins with another variant."""
    names = list(variants)
    runs = {name: [] for name in names}
    for i in range(-1, rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            watch = Stopwatch()
            variants[name](watch)
            if i >= 0:
                runs[name].append(watch.steps())
    return runs


def time_modulation(model, positive, shape, repeats: int) -> dict[str, list[dict[str, float]]]:
    """The host's bare model with one timestep for all frames and with one for each, in turns."""
    comfy.model_management.load_models_gpu([model])
    net, dtype = model.model.diffusion_model, model.model.get_dtype_inference()
    device = model.load_device
    batch, frames = 2 * shape[0], shape[2]  # both guidance branches
    x = torch.randn(batch, *shape[1:]).to(device, dtype)
    context = positive[0][0].to(device, dtype).repeat(batch, 1, 1)
    shared = torch.full((batch,), 700.0, device=device)
    each = shared[:, None].repeat(1, frames)
    each[:, 0] = 0
    runs = {"shared": [], "each": []}
    for i in range(-2, repeats):
        order = [("shared", shared), ("each", each)]
        for name, t in order if i % 2 else reversed(order):
            wall, cpu = now(), time.thread_time()
            net(x, t, context=context)
            if i >= 0:
                runs[name].append({"model": now() - wall, "model_cpu": time.thread_time() - cpu})
    return runs
