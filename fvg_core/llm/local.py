"""A language model from a folder of safetensors, through transformers."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import LanguageModelError
from .base import Message, Sampling
from .chat import check_images, check_length, clean, plain, without_system
from .watch import before_each_layer

DTYPES = ("bf16", "fp32", "4bit")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PARTS = (".safetensors", ".json", ".jinja", ".model", ".txt")  # what a reply depends on


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a language model that transformers loads from safetensors."""
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


class FolderModel:
    """Weights and tokenizer, until it is closed. `place` puts the weights where they compute."""

    sees = False

    def __init__(self, path: Path, dtype: str, network: Any, tokenizer: Any) -> None:
        self.name = f"transformers: {path.name}{' (4-bit)' if dtype == '4bit' else ''}"
        self.key = folder_key(path, dtype)
        self.network: Any = network
        self.place: Callable[[], None] = lambda: None
        self._tokenizer = tokenizer

    def reply(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tick: Callable[[], None] = lambda: None,
    ) -> str:
        check_images(messages, self.name, self.sees)
        tokens = self._tokens(messages)
        length = tokens["input_ids"].shape[1]
        check_length(length + sampling.max_tokens, self.network.config, self.name)
        self.place()
        tokens = tokens.to(self.network.device)
        # The host runs nodes in inference mode; weights made there are of no use outside of it.
        with torch.inference_mode(), _seeded(sampling.seed), before_each_layer(self.network, tick):
            out = self.network.generate(**tokens, **_drawing(sampling))
        return clean(self._tokenizer.decode(out[0, length:], skip_special_tokens=True), self.name)

    def close(self) -> None:
        """Give the weights' memory back, whoever still holds this object."""
        self.network, self._tokenizer = None, None
        self.place = lambda: None
        gc.collect()

    def _tokens(self, messages: Sequence[Message]) -> Any:
        from jinja2 import TemplateError

        added = self._tokenizer.added_tokens_decoder.values()
        turns = plain(messages, [token.content for token in added if token.special])
        try:
            return self._template(turns)
        except TemplateError:
            pass
        try:
            return self._template(without_system(turns))  # Gemma 2 and others refuse the role
        except TemplateError as error:
            raise LanguageModelError(
                f"the chat template of the language model ({self.name}) cannot write this chat: "
                f"{error}. Use another Instruct model."
            ) from error

    def _template(self, turns: Sequence[Message]) -> Any:
        return self._tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.text} for m in turns],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            enable_thinking=False,  # Qwen3's switch; other templates do not read it
        )


def folder_key(path: Path, dtype: str) -> str:
    """The key of a folder's model, without loading it."""
    return f"transformers {folder_stamp(path)} {dtype}"


def folder_stamp(path: Path) -> str:
    """Changes when a file changes that the replies depend on."""
    stats = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(path.iterdir())
        if file.suffix in _PARTS
    ]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:12]


@contextmanager
def open_folder(
    path: Path, dtype: str = "bf16", device: torch.device | str = "cpu"
) -> Iterator[FolderModel]:
    """The model of a folder, loaded until the end of the `with`.

    dtype: bf16, fp32, or 4bit (needs bitsandbytes and a CUDA device). Raises LanguageModelError.
    """
    model = _load(path, dtype, torch.device(device))
    try:
        yield model
    finally:
        model.close()


def _load(path: Path, dtype: str, device: torch.device) -> FolderModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _check_folder(path)
    options = {"local_files_only": True, "trust_remote_code": False}
    precision = _precision(path.name, dtype, device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
        network, loaded = AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, output_loading_info=True, **precision, **options
        )
    except Exception as error:  # transformers raises whatever its readers raise
        short = " ".join(str(error).replace(str(path), path.name).split())[:300]
        raise LanguageModelError(
            f"the folder {path.name} cannot be loaded as a language model "
            f"({type(error).__name__}: {short}). It must hold a text model that transformers "
            "knows without code of its own, complete: config.json, tokenizer and safetensors."
        ) from None
    if loaded["missing_keys"]:  # transformers would fill them with noise
        raise LanguageModelError(
            f"the folder {path.name} lacks {len(loaded['missing_keys'])} weights of its model, "
            f"e.g. {min(loaded['missing_keys'])}. Download its safetensors again."
        )
    if not tokenizer.chat_template:
        raise LanguageModelError(
            f"the tokenizer in {path.name} has no chat template, so this is no model to talk to. "
            "Use the Instruct variant of the model, e.g. Qwen2.5-7B-Instruct."
        )
    if dtype != "4bit":
        network = network.to(device)
    return FolderModel(path, dtype, network.eval(), tokenizer)


def _check_folder(path: Path) -> None:
    if not is_model_folder(path):
        raise LanguageModelError(
            f"the folder {path.name} has no config.json with .safetensors files beside it. Only "
            "weights in safetensors are loaded; download a variant of the model that has them."
        )
    if not any((path / name).is_file() for name in _TOKENIZERS):
        raise LanguageModelError(
            f"the folder {path.name} holds no tokenizer ({', '.join(_TOKENIZERS)}). Download the "
            "whole repository of the model, not the weights alone."
        )
    if (path / "adapter_config.json").exists():
        raise LanguageModelError(
            f"the folder {path.name} holds an adapter, which would load its base model from "
            "elsewhere. Merge the adapter into the model, or use the model without it."
        )


def _precision(name: str, dtype: str, device: torch.device) -> dict[str, Any]:
    """What transformers is told about the weights' precision."""
    if dtype not in DTYPES:
        raise LanguageModelError(f"the precision is {dtype!r}; choose one of {', '.join(DTYPES)}.")
    from transformers import BitsAndBytesConfig, __version__

    argument = "dtype" if tuple(map(int, __version__.split(".")[:2])) >= (4, 56) else "torch_dtype"
    if dtype != "4bit":
        return {argument: torch.bfloat16 if dtype == "bf16" else torch.float32}
    from transformers.utils import is_bitsandbytes_available

    if device.type != "cuda" or not is_bitsandbytes_available():
        raise LanguageModelError(
            f"4-bit weights of {name} need a CUDA device and the package bitsandbytes (extra "
            "'llm' of this pack). Install it into ComfyUI's Python, or choose bf16."
        )
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"quantization_config": four_bit, "device_map": {"": device}, argument: torch.bfloat16}


def _drawing(sampling: Sampling) -> dict[str, Any]:
    """Arguments of generate; top_k, top_p and penalties stay as the model's authors set them."""
    if sampling.temperature <= 0:
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {"max_new_tokens": sampling.max_tokens, **greedy}
    return {
        "max_new_tokens": sampling.max_tokens,
        "do_sample": True,
        "temperature": sampling.temperature,
    }


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """transformers draws from the global generators: they are put back as they were."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
