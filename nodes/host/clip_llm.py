"""A language model that the host loaded as a CLIP: its memory and its files stay the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from comfy.text_encoders.llama import BaseGenerate
from comfy.text_encoders.lumina2 import Gemma3_4B_Vision_Model
from comfy.text_encoders.qwen3vl import Qwen3VLClipModel
from PIL import Image

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
# The host's classes whose `generate` is given the whole picture, and which it only takes for files
# with the weights for that; and the size that a family brings every picture to. Encoders of image
# models that are built on these networks leave out where the picture's parts are. Qwen3.5, Gemma 4
# and the 12B of Gemma 3 take pictures in the host, too, but otherwise than they were trained to, or
# without a sign that their file had the weights.
_EYES = {
    Qwen3VLClipModel: None,
    Gemma3_4B_Vision_Model: (896, 896),  # the host would cut the sides off; Gemma 3 squeezes them
}
_MOST_PIXELS = 2**20  # of a picture; what the checklist asks for is not smaller
_MOST_PICTURE_TOKENS = 1024  # 32 x 32 pixels each in Qwen3-VL; 256 in all in Gemma 3
_UNTIED = {"Qwen3_8B"}  # words are read from other weights (lm_head) than they are written to
_SPEAKERS = "Qwen3, Qwen3.5, Qwen3-VL, Gemma 3 or Gemma 4"
_REFUSED = {
    "Qwen25_7BVLI": "Qwen2.5-VL-7B, as ComfyUI loads it for Qwen-Image, has lost its output layer "
    "(lm_head); words would be read from other weights, which gives nonsense",
    "Gemma2_2B": "Gemma 2, as loaded for Lumina, is no chat model and does not know when to stop",
}


class ClipModel:
    """A host CLIP as a language model."""

    def __init__(self, clip) -> None:
        self._clip = clip
        self._network, family = _speaker(clip)
        self._part = next(
            part
            for part in clip.cond_stage_model.modules()
            if getattr(part, "transformer", None) is self._network
        )
        self.sees = isinstance(self._part, tuple(_EYES))
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
        pictures = [picture for m in messages for picture in m.images]
        tokens = self._tokens(self._template.write(messages), pictures)
        length = len(next(iter(tokens.values()))[0]) + _MOST_PICTURE_TOKENS * len(pictures)
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

    def _tokens(
        self, text: str, pictures: Sequence[Image.Image] = ()
    ) -> dict[str, list[list[tuple]]]:
        """The chat's tokens alone: without padding, embedding files and emphasis. A picture is
        one of them."""
        text = text.replace("embedding:", "embedding :")
        text = text.replace("(", "\\(").replace(")", "\\)")  # else some read them as emphasis
        first = "<start_of_turn>"
        if text.startswith(first):
            # The host takes a start token off that Gemma 3's tokenizer only sometimes puts there.
            text = first + text
        seen = {"image": self._image(pictures)} if pictures else {}
        tokens = self._clip.tokenize(
            text, llama_template=_RAW, skip_template=True, thinking=True, **seen
        )
        name, batches = next(iter(tokens.items()))
        rows, pad = list(batches[0]), self._part.special_tokens["pad"]
        while rows and rows[0][0] == pad:
            rows.pop(0)
        while rows and rows[-1][0] == pad:
            rows.pop()
        if text.startswith(first) and rows[1][0] == rows[2][0]:
            rows.pop(1)
        return {**tokens, name: [rows]}

    def _image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """IMAGE [1, H, W, 3] of the one picture. Raises LanguageModelError for several."""
        if len(pictures) > 1:
            raise LanguageModelError(
                f"the language model ({self.name}) takes one picture at a time and was given "
                f"{len(pictures)}. Ask about each by itself."
            )
        picture = pictures[0].convert("RGB")
        size = next(size for kind, size in _EYES.items() if isinstance(self._part, kind))
        if size:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        elif picture.width * picture.height > _MOST_PIXELS:
            scale = (_MOST_PIXELS / (picture.width * picture.height)) ** 0.5
            picture = picture.resize((int(picture.width * scale), int(picture.height * scale)))
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


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
