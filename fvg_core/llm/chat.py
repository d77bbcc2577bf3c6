"""Chats as the text that a model continues, and replies as the text that is left of them.

Only for models that come without their tokenizer's own template: the host's language models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import EmptyReplyError, LanguageModelError
from .base import Message

# Words that steer a chat. From a prompt they would open turns that nobody wrote.
_CONTROL = re.compile(
    r"<\|[\w/]{1,40}\|>|<\|[\w]{1,40}>|<[\w]{1,40}\|>"  # <|im_start|>, <|turn>, <turn|>
    r"|</?(?:start_of_turn|end_of_turn|start_of_image|image_soft_token|bos|eos|pad|think)>"
)
_END = re.compile(r"<\|(?:im_end|endoftext|eot_id|end|return)\|>|<end_of_turn>|<turn\|>|<eos>|</s>")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Template:
    """How a family writes a chat. `turn` has the fields role and text."""

    turn: str
    opening: str  # of the reply
    assistant: str = "assistant"  # what the family calls it
    system: bool = True  # has a role for the system's message
    picture: str = ""  # stands where a picture is, in front of the turn's text

    def write(self, messages: Sequence[Message]) -> str:
        """The chat, up to where the reply begins."""
        turns = [replace(m, text=self.picture * len(m.images) + m.text) for m in plain(messages)]
        turns = turns if self.system else without_system(turns)
        roles = {"assistant": self.assistant}
        # Replaced, not formatted: the braces of JSON are text.
        written = (
            self.turn.replace("{role}", roles.get(m.role, m.role)).replace("{text}", m.text)
            for m in turns
        )
        return "".join(written) + self.opening


_CHATML = "<|im_start|>{role}\n{text}<|im_end|>\n"
_REPLY = "<|im_start|>assistant\n"
TEMPLATES = {
    # Qwen2.5 and Qwen3-VL (Instruct); its picture as in Qwen3-VL's chat template
    "chatml": Template(_CHATML, _REPLY, picture="<|vision_start|><|image_pad|><|vision_end|>"),
    # Qwen3 and Qwen3.5 think unless their thoughts are given, and empty (their chat template,
    # enable_thinking=False)
    "chatml without thinking": Template(_CHATML, f"{_REPLY}<think>\n\n</think>\n\n"),
    # Gemma 3 has no system role (its chat template); its picture as transformers' processor of
    # Gemma 3 writes it, with one word for all of the picture's tokens
    "gemma": Template(
        "<start_of_turn>{role}\n{text}<end_of_turn>\n",
        "<start_of_turn>model\n",
        "model",
        False,
        "\n\n<start_of_image><image_soft_token><end_of_image>\n\n",
    ),
    # Gemma 4, with an empty thought (as the host's own template)
    "gemma 4": Template(
        "<|turn>{role}\n{text}<turn|>\n", "<|turn>model\n<|channel>thought\n<channel|>", "model"
    ),
}


def plain(messages: Sequence[Message], words: Sequence[str] = ()) -> list[Message]:
    """The messages without words that steer a chat; `words`: those of one tokenizer.

    A space in their place keeps what stands around one from becoming another.
    """
    control = re.compile("|".join([_CONTROL.pattern, *map(re.escape, words)]))
    return [replace(m, text=control.sub(" ", m.text)) for m in messages]


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The system's text in front of the first user's, for families without that role."""
    system = "\n\n".join(m.text for m in messages if m.role == "system")
    others = [m for m in messages if m.role != "system"]
    if system and others:
        others[0] = replace(others[0], text=f"{system}\n\n{others[0].text}")
    return others


def clean(reply: str, name: str) -> str:
    """A reply without thoughts and special tokens. Raises EmptyReplyError if nothing is left."""
    text = _THOUGHT.sub("", _END.split(reply, maxsplit=1)[0])
    text = text.rpartition("</think>")[2]  # the template may have opened the thought
    text = _CONTROL.sub("", text).strip()
    if not text:
        why = "spent all its tokens on thinking" if "<think>" in reply else "answered nothing"
        raise EmptyReplyError(
            f"the language model ({name}) {why}. Use an Instruct model that does not think, or "
            "another seed."
        )
    return text


def check_images(messages: Sequence[Message], name: str, sees: bool) -> None:
    """Raises LanguageModelError for pictures that a model cannot see."""
    if not sees and any(m.images for m in messages):
        raise LanguageModelError(
            f"the language model ({name}) takes no pictures. Ask it with text alone, or use a "
            "vision model: Qwen3-VL or Gemma 3 as a CLIP, or one behind the server backend."
        )


def check_length(wanted: int, config: object, name: str) -> None:
    """Raises LanguageModelError for a chat and reply of more tokens than a network was made for."""
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and wanted > most:
        raise LanguageModelError(
            f"chat and reply may take {wanted} tokens and the language model ({name}) holds "
            f"{most}. Shorten the prompt, or ask for fewer tokens."
        )
