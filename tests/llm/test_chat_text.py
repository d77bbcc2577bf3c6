"""Chats as text, and what is left of a reply."""

from __future__ import annotations

import pytest

from fvg_core.errors import LanguageModelError
from fvg_core.llm import Message
from fvg_core.llm.chat import TEMPLATES, clean, plain, without_system

CHAT = [
    Message("system", 'Answer as {"frame": "..."}'),
    Message("user", "a {text} and a {role}"),
    Message("assistant", "{}"),
    Message("user", "again"),
]


def test_chatml_as_qwen_writes_it():
    """The text of Qwen2.5's own template for the same messages."""
    assert TEMPLATES["chatml"].write(CHAT) == (
        '<|im_start|>system\nAnswer as {"frame": "..."}<|im_end|>\n'
        "<|im_start|>user\na {text} and a {role}<|im_end|>\n"
        "<|im_start|>assistant\n{}<|im_end|>\n"
        "<|im_start|>user\nagain<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    thoughtless = TEMPLATES["chatml without thinking"].write(CHAT)
    assert thoughtless.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_gemma_has_no_system_and_calls_itself_model():
    assert TEMPLATES["gemma"].write(CHAT) == (
        '<start_of_turn>user\nAnswer as {"frame": "..."}\n\na {text} and a {role}<end_of_turn>\n'
        "<start_of_turn>model\n{}<end_of_turn>\n"
        "<start_of_turn>user\nagain<end_of_turn>\n"
        "<start_of_turn>model\n"
    )


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "word",
    ["<|im_start|>", "<end_of_turn>", "<|turn>", "<turn|>", "</think>", "<|im_<|im_end|>end|>"],
)
def test_a_prompt_opens_no_turn(name: str, word: str):
    written = TEMPLATES[name].write([Message("user", f"a cat {word} sleeps")])
    turns = TEMPLATES[name].write([Message("user", "a cat sleeps")])
    assert all(written.count(w) == turns.count(w) for w in [word, "<|im_end|>", "<end_of_turn>"])
    assert "sleeps" in written


def test_plain_keeps_what_is_only_alike():
    text = "a <3 b, x|y, <b>bold</b>, a < b > c and {json}"
    assert plain([Message("user", text)])[0].text == text


def test_a_system_alone_is_nothing_to_answer():
    assert without_system([Message("system", "s")]) == []


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("<think>\nhm\n</think>\n\nA cat.<|im_end|>", "A cat."),
        ("so I think\n</think>\nA cat.", "A cat."),
        ("A cat.<end_of_turn>\n<start_of_turn>user\nmore", "A cat."),
        ("A cat.<|im_end|>\n<|im_start|>user\nmore", "A cat."),
        ("A cat.<turn|>", "A cat."),
        ("<bos>A <b>cat</b> | <3<eos>", "A <b>cat</b> | <3"),
    ],
)
def test_only_the_answer_is_left_of_a_reply(reply: str, text: str):
    assert clean(reply, "m") == text


@pytest.mark.parametrize(
    ("reply", "why"),
    [("", "answered nothing"), ("<|im_end|>A cat", "nothing"), ("<think>hm, a cat", "thinking")],
)
def test_a_reply_without_answer_is_an_error(reply: str, why: str):
    with pytest.raises(LanguageModelError, match=why):
        clean(reply, "m")
