"""Nodes that only tests use: was a model asked for, and how many pictures were drawn at once?"""

import gc
import hashlib
import json
import time
from pathlib import Path

import comfy.ops
import comfy.sd
import folder_paths
import torch
from comfy.ldm.flux.model import Flux
from comfy.patcher_extension import WrappersMP
from comfy.taesd.taesd import TAESD
from comfy_api.latest import ComfyExtension, io
from safetensors.torch import save_file

OUTPUT = Path(folder_paths.get_output_directory())
folder_paths.add_model_folder_path("diffusers", str(OUTPUT / "diffusers"))


def note(name, what):
    with (OUTPUT / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


class Counted(io.ComfyNode):
    """Hands on what it is given, and notes that it was asked to; never cached by the host."""

    @classmethod
    def define_schema(cls):
        anything = io.MatchType.Template("T")
        return io.Schema(
            node_id="FVGCounted",
            inputs=[io.MatchType.Input("what", template=anything), io.String.Input("name")],
            outputs=[io.MatchType.Output(template=anything)],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return time.time_ns()

    @classmethod
    def execute(cls, what, name):
        note(name, "asked")
        return io.NodeOutput(what)


class SmallMemory(io.ComfyNode):
    """A model that runs out of memory above some pictures at once, and notes their number."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGSmallMemory",
            inputs=[io.Model.Input("model"), io.Int.Input("most"), io.String.Input("name")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, most, name):
        model = model.clone()

        def sample(executor, noise, *args, **kwargs):
            note(name, len(noise))
            if len(noise) > most:
                raise torch.OutOfMemoryError("out of memory, says the test")
            return executor(noise, *args, **kwargs)

        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "small memory", sample)
        return io.NodeOutput(model)


class SmallFlux(io.ComfyNode):
    """An image model with ordinary latents [B, C, h, w], of random weights, and its VAE."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGSmallFlux",
            inputs=[io.Clip.Input("clip")],
            outputs=[io.Model.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, clip):
        torch.manual_seed(0)
        words = clip.encode_from_tokens(clip.tokenize("")).shape[-1]
        flux = Flux(
            image_model="flux", in_channels=16, out_channels=16, patch_size=2, vec_in_dim=8,
            context_in_dim=words, hidden_size=128, mlp_ratio=4.0, num_heads=1, depth=1,
            depth_single_blocks=1, axes_dim=[16, 56, 56], theta=10000, qkv_bias=True,
            guidance_embed=False, txt_ids_dims=[], operations=comfy.ops.disable_weight_init,
        )  # fmt: skip
        model = comfy.sd.load_diffusion_model_state_dict(random_state(flux))
        return io.NodeOutput(model, comfy.sd.VAE(sd=random_state(TAESD(latent_channels=16))))


def random_state(module):
    return {key: torch.randn_like(w.float()) * 0.05 for key, w in module.state_dict().items()}


class WeightsAlive(io.ComfyNode):
    """Notes how many UNets of diffusers are in memory, once there are pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGWeightsAlive",
            is_output_node=True,
            inputs=[io.Image.Input("after"), io.String.Input("name")],
            outputs=[],
        )

    @classmethod
    def execute(cls, after, name):
        from diffusers import UNet2DConditionModel

        note(name, sum(isinstance(thing, UNet2DConditionModel) for thing in gc.get_objects()))
        return io.NodeOutput()


class Lists(io.ComfyNode):
    """Two gray pictures of two sizes, and two texts."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGLists",
            inputs=[io.String.Input("text")],
            outputs=[io.Image.Output(is_output_list=True), io.String.Output(is_output_list=True)],
        )

    @classmethod
    def execute(cls, text):
        pictures = [torch.full((1, 32 * n, 64, 3), n / 4) for n in (1, 2)]
        return io.NodeOutput(pictures, [f"{text} one", f"{text} two"])


class Painted(io.ComfyNode):
    """A picture whose shade is that of its text: each text has one of its own."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGPainted", inputs=[io.String.Input("text")], outputs=[io.Image.Output()]
        )

    @classmethod
    def execute(cls, text):
        shades = torch.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=torch.uint8)[:3]
        return io.NodeOutput((shades / 255).expand(1, 64, 64, 3))


class PictureAtPath(io.ComfyNode):
    """As loaders of other packs: any file, and a digest that tells the host when it changes."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PictureAtPath", inputs=[io.String.Input("path")], outputs=[io.Image.Output()]
        )

    @classmethod
    def fingerprint_inputs(cls, path):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()

    @classmethod
    def execute(cls, path):
        return Painted.execute(Path(path).read_text())


class SavePictures(io.ComfyNode):
    """An IMAGE, to the bit."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGSavePictures",
            is_output_node=True,
            inputs=[io.Image.Input("images"), io.String.Input("name")],
            outputs=[],
        )

    @classmethod
    def execute(cls, images, name):
        save_file({"images": images.contiguous()}, OUTPUT / f"{name}.safetensors")
        return io.NodeOutput()


class CandidatesProbe(ComfyExtension):
    async def get_node_list(self):
        return [
            Counted, SmallMemory, SmallFlux, WeightsAlive, Lists, Painted, PictureAtPath,
            SavePictures,
        ]  # fmt: skip


def comfy_entrypoint():
    return CandidatesProbe()
