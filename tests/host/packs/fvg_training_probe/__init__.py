"""Nodes that only the tests of training use."""

import torch
from comfy_api.latest import ComfyExtension, io


class Random:
    """Latents and texts of noise, where no small VAE of the family exists, or bad ones are
    wanted."""

    def __init__(self, count, channels, features, value):
        generator = torch.Generator().manual_seed(0)
        self.fingerprint = f"{count} {channels} {features} {value}"
        self.ids = tuple(map(str, range(count)))
        self.buckets = {(3, 4, 4): tuple(range(count))} if count else {}
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
            ],
            outputs=[io.Custom("FVG_DATASET").Output()],
        )

    @classmethod
    def execute(cls, count, channels, features, broken):
        return io.NodeOutput(Random(count, channels, features, float("nan") if broken else 1.0))


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


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [RandomDataset, Unloadable]


async def comfy_entrypoint():
    return Extension()
