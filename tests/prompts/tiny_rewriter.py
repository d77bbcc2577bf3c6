"""A tiny real Qwen2 that knows by heart how to rewrite one prompt, saved by transformers."""

from __future__ import annotations

import json
from pathlib import Path

import tiny_chat_models as tiny
import torch

PROMPT = "A red ball rolls off a table."
TEXT = "A red ball at the edge of a table, still."
REPLY = json.dumps({"entities": [], "text": TEXT})
INSTRUCTION = "Frame 0 as JSON."  # in place of the pack's own, which is long for a tiny model
BOUNDS = {"min_words": 5, "max_words": 20}


def save(folder: Path) -> Path:
    tokenizer = tiny._tokenizer(tiny.TEMPLATE)
    network = tiny._network("qwen2", len(tokenizer))
    chat = [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": f"<prompt>\n{PROMPT}\n</prompt>"},
    ]
    given = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, enable_thinking=False, return_dict=True
    )["input_ids"]
    answer = tokenizer(REPLY + "<|im_end|>")["input_ids"]
    _learn_by_heart(network, given, answer)
    network.config.max_position_embeddings = 4096  # its positions are rotations: any length goes
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _learn_by_heart(network, given: list[int], answer: list[int]) -> None:
    """Until a draw at any usual temperature gives the answer."""
    tokens = torch.tensor([given + answer])
    labels = torch.tensor([[-100] * len(given) + answer])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(600):
        optimizer.zero_grad()
        loss = network(input_ids=tokens, labels=labels).loss
        if loss.item() < 1e-3:
            return
        loss.backward()
        optimizer.step()
    raise AssertionError(f"not learned: {loss.item():.5f}")
