"""Nodes that only the tests of training use."""

import comfy.model_management
import comfy.ops
import comfy.sd
import folder_paths
import torch
from comfy.patcher_extension import CallbacksMP
from comfy_api.latest import ComfyExtension, io


class Random:
    """Latents and texts of noise, where no small VAE of the family exists, or bad ones are
    wanted. `said`: latent frames that they claim to have; they have 3."""

    def __init__(self, count, channels, features, value, said):
        generator = torch.Generator().manual_seed(0)
        self.fingerprint = f"{count} {channels} {features} {value}"
        self.ids = self.digests = tuple(map(str, range(count)))
        self.buckets = {(said, 4, 4): tuple(range(count))} if count else {}
        self.empty_text = torch.zeros(8, features)
        self._latents = torch.randn(count, channels, 3, 4, 4, generator=generator) * value
        self._texts = torch.randn(count, 8, features, generator=generator)

    def latents(self, index):
        return self._latents[index]

    def text(self, index):
        return self._texts[index]


class RandomDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGRandomDataset",
            inputs=[
                io.Int.Input("count"),
                io.Int.Input("channels"),
                io.Int.Input("features"),
                io.Boolean.Input("broken"),
                io.Int.Input("said", default=3, max=10**9, optional=True),
            ],
            outputs=[io.Custom("FVG_DATASET").Output()],
        )

    @classmethod
    def execute(cls, count, channels, features, broken, said=3):
        value = float("nan") if broken else 1.0
        return io.NodeOutput(Random(count, channels, features, value, said))


class Unloadable(io.ComfyNode):
    """A MODEL as loaders make it that do not tell the host how to load it again."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGUnloadable",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model):
        model = model.clone()
        model.cached_patcher_init = None
        return io.NodeOutput(model)


class SixteenBits(io.ComfyNode):
    """A MODEL in bf16 whose layers do not cast, as loaders make it on a GPU."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGSixteenBits",
            inputs=[io.String.Input("name")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, name):
        path = folder_paths.get_full_path_or_raise("diffusion_models", name)
        options = {"dtype": torch.bfloat16, "custom_operations": comfy.ops.disable_weight_init}
        return io.NodeOutput(comfy.sd.load_diffusion_model(path, model_options=options))


class TooLarge(io.ComfyNode):
    """A MODEL that no device has room for."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGTooLarge",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model):
        def full(*args, **kwargs):
            raise comfy.model_management.OOM_EXCEPTION("full")

        model = model.clone()
        model.add_callback(CallbacksMP.ON_LOAD, full)
        return io.NodeOutput(model)


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [RandomDataset, Unloadable, SixteenBits, TooLarge]


async def comfy_entrypoint():
    return Extension()
