"""Nodes that only the tests of language models use: small host CLIPs, and a chat."""

import functools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import comfy.ops
import comfy.sd
import comfy.text_encoders.anima as anima
import comfy.text_encoders.flux as flux
import comfy.text_encoders.llama as llama
import comfy.text_encoders.lumina2 as lumina2
import comfy.text_encoders.qwen3vl as qwen3vl
import comfy.text_encoders.qwen_image as qwen_image
import comfy.text_encoders.qwen_vl as qwen_vl
import comfy.text_encoders.z_image as z_image
import comfy.utils
import folder_paths
import torch
from comfy import model_management
from comfy_api.latest import ComfyExtension, io
from PIL import Image

# The install's own models folder is not the tests'.
folder_paths.add_model_folder_path("LLM", str(Path(folder_paths.get_output_directory(), "../LLM")))

QWEN = {
    "vocab_size": 151936,
    "hidden_size": 64,  # an output layer of 39 MB is fresh memory, as big ones are
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
GEMMA = {**QWEN, "vocab_size": 430, "num_hidden_layers": 6}
llama.Gemma3_4B_Vision_Config.vision_config = llama.GEMMA3_VISION_CONFIG | {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
}
KINDS = {
    "qwen3 4b": (z_image.te, z_image.ZImageTokenizer, "qwen3_4b", QWEN),
    "klein 4b": (flux.klein_te, flux.KleinTokenizer, "qwen3_4b", QWEN),
    "anima 0.6b": (anima.te, anima.AnimaTokenizer, "qwen3_06b", QWEN),
    "qwen3 vl": (
        functools.partial(qwen3vl.te, model_type="qwen3vl_4b"),
        qwen3vl.tokenizer("qwen3vl_4b"),
        "qwen3vl_4b",
        QWEN,
    ),
    "qwen3 8b": (
        functools.partial(flux.klein_te, model_type="qwen3_8b"),
        flux.KleinTokenizer8B,
        "qwen3_8b",
        QWEN,
    ),
    "qwen2.5 vl": (qwen_image.te, qwen_image.QwenImageTokenizer, "qwen25_7b", QWEN),
    "gemma3 4b": (
        functools.partial(lumina2.te, model_type="gemma3_4b"),
        lumina2.NTokenizer,
        "gemma3_4b",
        GEMMA,
    ),
    "gemma3 4b vision": (
        functools.partial(lumina2.te, model_type="gemma3_4b_vision"),
        lumina2.NTokenizer,
        "gemma3_4b_vision",
        GEMMA,
    ),
}


def _small_clip(kind, file):
    te, tokenizer, key, config = KINDS[kind]
    state = comfy.utils.load_torch_file(file, safe_load=True)
    # As the host's own loader does.
    state = comfy.utils.state_dict_prefix_replace(
        state,
        {
            "model.language_model.": "model.",
            "model.visual.": "visual.",
            "lm_head.": "model.lm_head.",
        },
    )
    # Their eyes are large.
    whole = qwen_vl.Qwen2VLVisionTransformer
    qwen_vl.Qwen2VLVisionTransformer = functools.partial(whole, num_layers=0)
    qwen3vl.QWEN3VL_VISION["qwen3vl_4b"] = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "depth": 2,
        "num_heads": 2,
        "deepstack_visual_indexes": [0],
    }
    try:
        return comfy.sd.CLIP(
            SimpleNamespace(params={}, clip=te(dtype_llama=torch.float32), tokenizer=tokenizer),
            tokenizer_data={"spiece_model": state.pop("spiece_model", None)},
            state_dict=[state],
            model_options={f"{key}_model_config": config},
        )
    finally:
        qwen_vl.Qwen2VLVisionTransformer = whole


class SmallChatClip(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGSmallChatClip",
            inputs=[io.Combo.Input("kind", options=list(KINDS)), io.String.Input("file")],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, kind, file):
        return io.NodeOutput(_small_clip(kind, str(Path(folder_paths.get_input_directory(), file))))


class HostSpeaks(io.ComfyNode):
    """What the host's Qwen2.5-VL says, as it is and with its output layer put back."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGHostSpeaks",
            inputs=[io.Clip.Input("clip"), io.String.Input("file"), io.String.Input("text")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, clip, file, text):
        path = Path(folder_paths.get_input_directory(), file)
        network = clip.cond_stage_model.qwen25_7b.transformer
        tokens = clip.tokenize(text)
        said = {"can stop": hasattr(network.model.config, "stop_tokens")}
        network.model.config.stop_tokens = [151643, 151645]
        said["as it is"] = clip.decode(clip.generate(tokens, do_sample=False, max_length=40))
        head = comfy.utils.load_torch_file(str(path), safe_load=True)["lm_head.weight"]
        layer = comfy.ops.manual_cast.Linear(*head.shape[::-1], bias=False)
        layer.weight.data.copy_(head)
        network.model.lm_head = layer
        said["with head"] = clip.decode(clip.generate(tokens, do_sample=False, max_length=40))
        del network.model.lm_head
        return io.NodeOutput(ui={"text": [json.dumps(said)]})


class Chat(io.ComfyNode):
    """Asks a backend of the pack, as its nodes do."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGChatProbe",
            inputs=[
                io.String.Input("nonce"),
                io.String.Input("backend"),
                io.Clip.Input("clip", optional=True),
                io.String.Input("folder", default=""),
                io.String.Input("dtype", default="fp32"),
                io.String.Input("system"),
                io.String.Input("prompt"),
                io.Int.Input("seed", default=0),
                io.Float.Input("temperature", default=0.0),
                io.Int.Input("max_tokens", default=80),
                io.Int.Input("times", default=1),
                io.String.Input("picture", optional=True),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        nonce,
        backend,
        folder,
        dtype,
        system,
        prompt,
        seed,
        temperature,
        max_tokens,
        times,
        picture="",
        clip=None,
    ):
        host, llm = (
            next(module for name, module in sys.modules.items() if name.endswith(end))
            for end in (".nodes.host", ".fvg_core.llm")
        )
        file = Path(folder_paths.get_input_directory(), picture)
        seen = (Image.open(file),) if picture else ()
        messages = [llm.Message("system", system), llm.Message("user", prompt, seen)]
        sampling = llm.Sampling(seed, max_tokens, temperature)
        ticks = []
        # There once the model is at work.
        sign = Path(folder_paths.get_temp_directory(), f"{nonce}.working")
        sign.parent.mkdir(exist_ok=True)

        def tick():
            if not ticks:
                sign.touch()
            ticks.append(1)
            model_management.throw_exception_if_processing_interrupted()

        with host.open_model(backend, clip=clip, folder=folder, dtype=dtype) as model:
            texts = [model.reply(messages, sampling, tick) for _ in range(times)]
            during = _loaded()
            asked = _asked(model, messages) if backend == "clip" and not picture else []
        said = {
            "texts": texts,
            "asked": asked,
            "ticks": len(ticks),
            "name": model.name,
            "key": model.key,
            "folders": host.language_model_folders(),
            "roots": folder_paths.get_folder_paths("LLM"),
            "during": during,
            "after": _loaded(),
        }
        return io.NodeOutput(ui={"text": [json.dumps(said)]})


def _asked(model, messages):
    """The tokens that a CLIP is given."""
    tokens = model._tokens(model._template.write(messages))
    return [token for token, _ in next(iter(tokens.values()))[0]]


def _loaded():
    return [type(patcher.model).__name__ for patcher in model_management.loaded_models()]


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [SmallChatClip, HostSpeaks, Chat]


async def comfy_entrypoint():
    return Extension()
