"""A small vision-language model that the host loads as a CLIP, and that transformers runs too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import small_chat_clips as small
import torch
from PIL import Image
from safetensors.torch import save_file

from fvg_core.image.scoring import SYSTEM

_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
_UNUSED = 50  # a word of the small Gemma 3 that no text has
_EYES = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "depth": 2,
    "num_heads": 2,
    "out_hidden_size": small.QWEN["hidden_size"],
    "deepstack_visual_indexes": [0],
}
_ROPE = {
    "rope_type": "default",
    "rope_theta": 5e6,
    "mrope_section": [24, 20, 20],
    "mrope_interleaved": True,
}


class SmallQwen3VL:
    """Qwen3-VL with the real vocabulary and a few small layers, random at first."""

    def __init__(self, host: Path) -> None:
        from transformers import (
            AutoTokenizer,
            Qwen2VLImageProcessor,
            Qwen3VLConfig,
            Qwen3VLForConditionalGeneration,
        )

        self._tokenizer = AutoTokenizer.from_pretrained(
            host / "comfy/text_encoders/qwen25_tokenizer"
        )
        # The published processor's settings (preprocessor_config.json of Qwen3-VL-4B-Instruct).
        self._eye = Qwen2VLImageProcessor(
            patch_size=16, merge_size=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
        )
        text = {
            **small.QWEN,
            "head_dim": 128,
            "tie_word_embeddings": True,
            "rope_parameters": _ROPE,
        }
        config = Qwen3VLConfig(text_config=text, vision_config=_EYES, tie_word_embeddings=True)
        self.network = small.random(Qwen3VLForConditionalGeneration(config))

    def save(self, path: Path) -> None:
        small.save(self.network, path)

    def says(self, question: str, picture: Image.Image, length: int) -> str:
        """Its greedy answer."""
        given = self._given(question, picture)
        out = self.network.generate(**given, do_sample=False, max_new_tokens=length)
        return self._tokenizer.decode(
            out[0, given["input_ids"].shape[1] :], skip_special_tokens=True
        )

    def learn(self, lessons: Sequence[tuple[str, Image.Image, str]]) -> None:
        """By heart: the one word, Yes or No, that answers each question about each picture.

        Solved, not trained: only the rows that read these words from the last state are written.
        """
        rows = self.network.lm_head.weight.data  # tied; no chat of the scorer has these words
        yes, no, end = (
            self._tokenizer.convert_tokens_to_ids(word) for word in ("Yes", "No", "<|endoftext|>")
        )
        given = [self._given(question, picture) for question, picture, _ in lessons]
        signs = torch.tensor([1.0 if word == "Yes" else -1.0 for *_, word in lessons])
        rows[[yes, no, end]] = 0
        asked = torch.stack([self._state(inputs) for inputs in given])
        rows[yes] = torch.linalg.pinv(asked) @ (signs * 2 * (asked @ rows.T).max())
        rows[no] = -rows[yes]
        said = [
            (inputs, yes if sign > 0 else no) for inputs, sign in zip(given, signs, strict=True)
        ]
        after = torch.stack([self._state(inputs, word) for inputs, word in said])
        loud = 2 * (after @ rows.T).max()
        both = torch.cat([asked, after])
        rows[end] = torch.linalg.pinv(both) @ torch.cat([-loud * signs.abs(), loud * signs.abs()])

    @torch.no_grad()
    def _state(self, given: dict[str, Any], *said: int) -> torch.Tensor:
        """The last state [width] after a chat, and after tokens of the answer."""
        more = torch.tensor([said], dtype=torch.long).reshape(1, -1)
        longer = {
            "input_ids": torch.cat([given["input_ids"], more], 1),
            "mm_token_type_ids": torch.cat([given["mm_token_type_ids"], 0 * more], 1),
            "attention_mask": torch.cat([given["attention_mask"], 0 * more + 1], 1),
        }
        return self.network.model(**{**given, **longer}).last_hidden_state[0, -1]

    def _given(self, question: str, picture: Image.Image) -> dict[str, Any]:
        seen = self._eye(images=[picture], return_tensors="pt")
        patches = int(seen["image_grid_thw"].prod()) // 4
        ids = _chat(self._tokenizer, question)
        at = ids.index(self._tokenizer.convert_tokens_to_ids("<|image_pad|>"))
        ids[at : at + 1] = [ids[at]] * patches
        kinds = [0] * len(ids)
        kinds[at : at + patches] = [1] * patches
        tensors = {"input_ids": torch.tensor([ids]), "mm_token_type_ids": torch.tensor([kinds])}
        return {**tensors, "attention_mask": torch.ones(1, len(ids), dtype=torch.long), **seen}


def _chat(tokenizer, question: str) -> list[int]:
    """The scorer's chat about one picture, with one token in the picture's place."""
    turns = [("system", SYSTEM), ("user", _PICTURE + question)]
    text = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return tokenizer.encode(f"{text}<|im_start|>assistant\n")


class SmallGemma3:
    """Gemma 3 with a small vocabulary, a few small layers and the published picture size, random.

    It is asked as ComfyUI asks it: a picture's tokens see those before them, not each other.
    """

    def __init__(self) -> None:
        from transformers import (
            Gemma3Config,
            Gemma3ForConditionalGeneration,
            Gemma3ImageProcessor,
            SiglipVisionConfig,
        )

        self._words, self._proto = small.gemma_words()
        self._eye = Gemma3ImageProcessor(
            size={"height": 896, "width": 896}, image_mean=[0.5] * 3, image_std=[0.5] * 3
        )  # preprocessor_config.json of gemma-3-4b-it
        count = self._words.get_piece_size()
        eye = SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=896,
            patch_size=14,
            vision_use_head=False,
        )
        config = Gemma3Config(
            text_config=small.gemma_config(count), vision_config=eye, image_token_id=_UNUSED
        )
        self.network = small.random(Gemma3ForConditionalGeneration(config))

    def save(self, path: Path) -> None:
        """With the names that ComfyUI's files have."""
        names = {
            "model.vision_tower.vision_model.": "vision_model.",
            "model.vision_tower.": "vision_model.",
            "model.multi_modal_projector.": "multi_modal_projector.",
            "model.language_model.": "model.",
        }
        state = {"spiece_model": self._proto}
        for name, weight in self.network.state_dict().items():
            old = next((old for old in names if name.startswith(old)), None)
            if old:
                state[names[old] + name.removeprefix(old)] = weight.detach().clone()
        save_file(state, path)

    def says(self, question: str, picture: Image.Image, length: int) -> str:
        """Its greedy answer."""
        before = f"<start_of_turn>user\n{SYSTEM}\n\n\n\n<start_of_image>"
        after = f"<end_of_image>\n\n{question}<end_of_turn>\n<start_of_turn>model\n"
        encode = self._words.encode
        ids = [2, *encode(before), *[_UNUSED] * 256, *encode(after)]
        given = torch.tensor([ids])
        seen = self._eye(images=[picture], return_tensors="pt")
        out = self.network.generate(
            given,
            pixel_values=seen["pixel_values"],
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=length,
        )
        return self._words.decode([i for i in out[0, len(ids) :].tolist() if i != 106])
