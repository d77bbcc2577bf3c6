"""Nodes that only tests use: what was the model given, and what would plain tensors give?"""

from pathlib import Path

import comfy.samplers
import folder_paths
import torch
from comfy import model_management
from comfy.clip_vision import Output
from comfy.k_diffusion.sampling import sample_euler
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import ComfyExtension, io
from safetensors.torch import save_file


def _save(name, tensors):
    path = Path(folder_paths.get_output_directory()) / f"{name}.safetensors"
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path)


class Probe(io.ComfyNode):
    """Records every call of the innermost model, and the latent before the final pin."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGProbe",
            inputs=[io.Model.Input("model"), io.String.Input("name")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, name):
        model = model.clone()

        def outer(executor, noise, *args, **kwargs):
            calls.clear()
            out = executor(noise, *args, **kwargs)
            tensors = {
                f"{kind}{i:04d}": t for i, call in enumerate(calls) for kind, t in call.items()
            }
            _save(name, {**tensors, "unpinned": out, "noise": noise})
            return out

        def inner(executor, x, timestep, context, *args, **kwargs):
            options = next((a for a in (*args, *kwargs.values()) if isinstance(a, dict)), {})
            window = options.get("context_window")
            frames = [*range(x.shape[2])] if window is None else [*window.index_list]
            if getattr(window, "causal_anchor_index", None) is not None:
                frames.insert(0, window.causal_anchor_index)
            look = args[0] if args else None  # Wan: what CLIP vision saw
            calls.append(
                {
                    "x": x.clone(),
                    "t": timestep.clone(),
                    "context": context.clone(),
                    "branch": torch.tensor(options["cond_or_uncond"]),
                    "sigma": options["sigmas"],
                    "frames": torch.tensor(frames),
                    **({"look": look.clone()} if isinstance(look, torch.Tensor) else {}),
                }
            )
            return executor(x, timestep, context, *args, **kwargs)

        calls = []
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "probe", outer)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "probe", inner)
        return io.NodeOutput(model)


class Mutation(io.ComfyNode):
    """Undoes one part of the hold, to see the tests fail."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGMutation",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("kind", options=["no t change", "no swap", "wrong frame"]),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, kind):
        model = model.clone()

        def time(executor, x, timestep, *args, **kwargs):
            return executor(x, timestep.amax(1, keepdim=True).expand_as(timestep), *args, **kwargs)

        def swap(executor, x, *args, **kwargs):
            x = x.clone()
            x[:, :, 0] += torch.randn_like(x[:, :, 0])
            return executor(x, *args, **kwargs)

        def frame(executor, x, timestep, *args, **kwargs):
            out = executor(x.roll(1, 2), timestep.roll(1, 1), *args, **kwargs)
            return out.roll(-1, 2)

        wrapper = {"no t change": time, "no swap": swap, "wrong frame": frame}[kind]
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "mutation", wrapper)
        return io.NodeOutput(model)


class ReferenceEuler(io.ComfyNode):
    """Algorithm 1's inference over plain tensors: no wrapper, no sampler, no mask of the host."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGReferenceEuler",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent"),
                io.Int.Input("frame"),
                io.Int.Input("seed"),
                io.Float.Input("cfg"),
                io.Sigmas.Input("sigmas"),
                io.String.Input("name"),
                io.Model.Input("low_model", optional=True),
                io.Float.Input("low_cfg", default=1.0, optional=True),
                io.Float.Input("boundary", default=0.0, optional=True),
                io.Boolean.Input("negative_without_anchor", default=False, optional=True),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent, frame, seed, cfg, sigmas, name,
        low_model=None, low_cfg=1.0, boundary=0.0, negative_without_anchor=False,
    ):  # fmt: skip
        model_management.load_models_gpu([model] if low_model is None else [model, low_model])
        net, device = model.model, model.load_device
        anchor = net.process_latent_in(latent["samples"].clone())[:, :, frame].to(device)
        x = torch.randn(latent["samples"].shape, generator=torch.manual_seed(seed)).to(device)
        noise = x[:, :, frame].clone()
        trajectory = {}
        for i in range(len(sigmas) - 1):
            now, then = float(sigmas[i]), float(sigmas[i + 1])
            if now < boundary:
                net, cfg = low_model.model, low_cfg
            x[:, :, frame] = anchor
            trajectory[f"x{i:04d}"] = x.clone()
            t = torch.full((x.shape[0], x.shape[2]), now * 1000, device=device)
            t[:, frame] = 0
            seen, seen_t = x.clone(), t.clone()
            if negative_without_anchor:
                seen[:, :, frame] = (1 - now) * anchor + now * noise
                seen_t[:, frame] = now * 1000
            v_pos, v_neg = (
                net.diffusion_model(
                    given, times, context=c[0][0].to(device).expand(x.shape[0], -1, -1)
                ).float()
                for given, times, c in ((x, t, positive), (seen, seen_t, negative))
            )
            x = x + (then - now) * (v_neg + cfg * (v_pos - v_neg))
        x[:, :, frame] = anchor
        _save(name, trajectory)
        return io.NodeOutput({"samples": net.process_latent_out(x).cpu()})


class RandomLatent(io.ComfyNode):
    """Stands for an encoded picture where no small VAE of the family exists."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGRandomLatent",
            inputs=[io.Int.Input("channels"), io.Int.Input("size"), io.Int.Input("seed")],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, channels, size, seed):
        generator = torch.manual_seed(seed)
        return io.NodeOutput(
            {"samples": torch.randn(1, channels, 1, size, size, generator=generator)}
        )


class RandomClipVision(io.ComfyNode):
    """Stands for what CLIP vision makes of a picture: the stock loader takes no small one."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGRandomClipVision",
            inputs=[io.Int.Input("seed"), io.Int.Input("pictures", default=1, optional=True)],
            outputs=[io.ClipVisionOutput.Output()],
        )

    @classmethod
    def execute(cls, seed, pictures=1):
        out = Output()
        out["penultimate_hidden_states"] = torch.randn(
            pictures, 257, 1280, generator=torch.manual_seed(seed)
        )
        return io.NodeOutput(out)


class Oracle(io.ComfyNode):
    """A MODEL that knows the video: any noise, and any share of it, leads to this LATENT."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGOracle",
            inputs=[io.Model.Input("model"), io.Latent.Input("latent")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, latent):
        model = model.clone()
        video = model.model.process_latent_in(latent["samples"].clone())

        def velocity(executor, x, timestep, *args, **kwargs):
            sigma = (timestep / 1000).clamp(min=1e-9)  # a clean frame is the video's already
            return (x - video.to(x)) / sigma[:, None, :, None, None]

        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "oracle", velocity)
        return io.NodeOutput(model)


class DoubleEuler(io.ComfyNode):
    """A solver that works in float64 throughout, as those of some packs do."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="FVGDoubleEuler", outputs=[io.Sampler.Output()])

    @classmethod
    def execute(cls):
        def sample(model, x, sigmas, **kwargs):
            return sample_euler(model, x.double(), sigmas.double(), **kwargs)

        return io.NodeOutput(comfy.samplers.KSAMPLER(sample))


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [
            Probe, Mutation, ReferenceEuler, RandomLatent, RandomClipVision, Oracle, DoubleEuler,
        ]  # fmt: skip


async def comfy_entrypoint():
    return Extension()
