"""A language model that the host loaded as a CLIP: its memory and its files stay the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from comfy.text_encoders.llama import BaseGenerate

from ...fvg_core.errors import LanguageModelError
from ...fvg_core.llm import Message, Sampling
from ...fvg_core.llm.chat import TEMPLATES, check_images, check_length, clean
from ...fvg_core.llm.watch import before_each_layer
from .weights import weights_hash

# Model cards of Qwen3 and Qwen2.5 (without thinking); the host has no defaults of the families.
_TOP_K, _TOP_P = 20, 0.8
_RAW = "{}"  # for the tokenizers' own str.format: leaves the text, and its braces, alone

# The host's classes that speak, and how. A class is found by its own or its parents' names.
_FAMILIES = {
    "Qwen3_06B": "chatml without thinking",
    "Qwen3_4B": "chatml without thinking",
    "Qwen3_8B": "chatml without thinking",
    "Qwen35": "chatml without thinking",
    "Qwen3VL": "chatml",
    "Gemma3_4B": "gemma",
    "Gemma3_4B_Vision": "gemma",
    "Gemma3_12B": "gemma",
    "Gemma4Base": "gemma 4",
}
_UNTIED = {"Qwen3_8B"}  # words are read from other weights (lm_head) than they are written to
_SPEAKERS = "Qwen3, Qwen3.5, Qwen3-VL, Gemma 3 or Gemma 4"
_REFUSED = {
    "Qwen25_7BVLI": "Qwen2.5-VL-7B, as ComfyUI loads it for Qwen-Image, has lost its output layer "
    "(lm_head); words would be read from other weights, which gives nonsense",
    "Gemma2_2B": "Gemma 2, as loaded for Lumina, is no chat model and does not know when to stop",
}


class ClipModel:
    """A host CLIP as a language model."""

    sees = False

    def __init__(self, clip) -> None:
        self._clip = clip
        self._network, family = _speaker(clip)
        self._template = TEMPLATES[_FAMILIES[family]]
        self.name = f"clip: {family}"
        self.key = f"clip {family} {weights_hash(clip.patcher)}"

    def reply(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tick: Callable[[], None] = lambda: None,
    ) -> str:
        check_images(messages, self.name, self.sees)
        tokens = self._tokens(self._template.write(messages))
        length = len(next(iter(tokens.values()))[0])
        check_length(length + sampling.max_tokens, self._network.model.config, self.name)
        with before_each_layer(self._network, tick):
            ids = self._clip.generate(
                tokens,
                do_sample=sampling.temperature > 0,
                max_length=sampling.max_tokens,
                temperature=sampling.temperature,
                top_k=_TOP_K,
                top_p=_TOP_P,
                repetition_penalty=1.0,
                seed=sampling.seed,
            )
        return clean(self._clip.decode(ids), self.name)

    def _tokens(self, text: str) -> dict[str, list[list[tuple[int, float]]]]:
        """The chat's tokens alone: without padding, embedding files and emphasis."""
        text = text.replace("embedding:", "embedding :")
        text = text.replace("(", "\\(").replace(")", "\\)")  # else some read them as emphasis
        first = "<start_of_turn>"
        if text.startswith(first):
            # The host takes a start token off that Gemma 3's tokenizer only sometimes puts there.
            text = first + text
        tokens = self._clip.tokenize(text, llama_template=_RAW, skip_template=True, thinking=True)
        name, batches = next(iter(tokens.items()))
        rows, pad = list(batches[0]), self._pad()
        while rows and rows[0][0] == pad:
            rows.pop(0)
        while rows and rows[-1][0] == pad:
            rows.pop()
        if text.startswith(first) and rows[1][0] == rows[2][0]:
            rows.pop(1)
        return {**tokens, name: [rows]}

    def _pad(self) -> int:
        return next(
            part.special_tokens["pad"]
            for part in self._clip.cond_stage_model.modules()
            if getattr(part, "transformer", None) is self._network
        )


def _speaker(clip) -> tuple[torch.nn.Module, str]:
    """The part of a CLIP that generates, and its family. Raises LanguageModelError for others."""
    if clip is None:
        raise LanguageModelError(
            f"no CLIP is connected. Load {_SPEAKERS} with Load CLIP, or choose another backend."
        )
    network = next(
        (part for part in clip.cond_stage_model.modules() if isinstance(part, BaseGenerate)), None
    )
    names = [kind.__name__ for kind in type(network).__mro__]
    why = next((_REFUSED[name] for name in names if name in _REFUSED), None)
    family = next((name for name in names if name in _FAMILIES), None)
    if why is None and family is None:
        kind = type(clip.cond_stage_model if network is None else network).__name__
        why = f"it is {kind.rstrip('_')}, which encodes text but does not chat"
    if why is None and not hasattr(clip.cond_stage_model, "generate"):
        why = f"its {family} is built into an encoder that does not chat"
    if why is None:
        why = _gap(network, family)
    if why:
        raise LanguageModelError(
            f"the CLIP cannot rewrite: {why}. Load {_SPEAKERS} with Load CLIP, or choose another "
            "backend."
        )
    return network, family


def _gap(network: torch.nn.Module, family: str) -> str | None:
    """What an encoder's weights may lack of the language model: an encoder works without."""
    config = network.model.config
    if not getattr(config, "final_norm", True):
        return f"its {family} was cut short for an image model"
    head = getattr(network.model, "lm_head", None)
    if head is None:
        return f"its {family} has no output layer (lm_head)" if family in _UNTIED else None
    weight = getattr(head.weight, "_qdata", head.weight)  # _qdata: of quantised ones
    if weight.is_meta or not weight.detach()[:64].float().any():
        return f"the file of its {family} lacks the output layer (lm_head)"
    return None


@contextmanager
def open_clip(clip) -> Iterator[ClipModel]:
    """A CLIP as a language model; the host keeps its weights and moves them as it needs."""
    yield ClipModel(clip)
