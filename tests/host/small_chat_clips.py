"""Weights of small language models that the host loads as CLIPs. They are random, so that every
token depends on all before it, and transformers is the reference for what follows from them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_chat_models as tiny
import torch
from safetensors.torch import save_file

QWEN = {
    "vocab_size": 151936,
    "hidden_size": 64,  # an output layer of 39 MB is fresh memory, as big ones are
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "eos_token_id": 151645,
    "pad_token_id": 151643,
}


_PICTURE = ["<start_of_image>", "<end_of_image>"]


@dataclass
class Small:
    """The reference model, how it is asked, and how its tokens read."""

    network: Any
    ask: Callable[[str], list[int]]  # tokens of the chat with a question
    decode: Callable[[list[int]], str]

    def says(self, question: str, length: int) -> str:
        """Its greedy answer."""
        given = torch.tensor([self.ask(question)])
        out = self.network.generate(
            given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=length
        )
        return self.decode(out[0, given.shape[1] :].tolist())


def random(network, seed: int = 0):
    """Weights large enough that nothing is drowned by the embeddings."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            scale = 0.05 if "embed" in name or "lm_head" in name else 0.3
            weight.data.normal_(0, scale, generator=generator)
    return network.eval()


def qwen(path: Path, host: Path, kind: str) -> Small:
    """kind: qwen3 (tied), qwen3 untied (as the 8B), qwen3 vl, qwen2.5 (untied, as the 7B)."""
    from transformers import (
        AutoTokenizer,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    tokenizer = AutoTokenizer.from_pretrained(host / "comfy/text_encoders/qwen25_tokenizer")
    tokenizer.chat_template = tiny.TEMPLATE
    if kind in ("qwen2.5", "qwen3 vl"):  # they do not think
        tokenizer.chat_template = tiny.TEMPLATE.replace("<think>\n\n</think>\n\n", "")
    shape = {**QWEN, "head_dim": 128, "tie_word_embeddings": kind in ("qwen3", "qwen3 vl")}
    if kind == "qwen3 vl":
        shape["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e6}
    if kind == "qwen2.5":
        network = Qwen2ForCausalLM(Qwen2Config(**shape))
    else:
        network = Qwen3ForCausalLM(Qwen3Config(**shape))
    save(random(network), path)
    decode = lambda ids: tokenizer.decode(ids, skip_special_tokens=True)
    return Small(network, lambda question: tiny.asked(tokenizer, question), decode)


def gemma_words() -> tuple[Any, torch.Tensor]:
    """A small sentencepiece vocabulary with the ids of Gemma 3's control words, and its bytes."""
    import sentencepiece

    model = io.BytesIO()
    words = [f"<unused{i}>" for i in range(100)]  # after pad, eos, bos, unk
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([tiny.SYSTEM, tiny.QUESTION, tiny.ANSWER] * 5),
        model_writer=model,
        vocab_size=430,
        model_type="bpe",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        user_defined_symbols=["\n", *words, "<start_of_turn>", "<end_of_turn>", *_PICTURE],
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    assert tokenizer.piece_to_id(["<start_of_turn>", "<end_of_turn>"]) == [105, 106]
    return tokenizer, torch.frombuffer(bytearray(model.getvalue()), dtype=torch.uint8).clone()


def gemma_config(vocabulary: int):
    from transformers import Gemma3TextConfig

    return Gemma3TextConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=256,
        sliding_window=1024,
        eos_token_id=106,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    )


def gemma(path: Path) -> Small:
    """Gemma 3 with a small vocabulary."""
    from transformers import Gemma3ForCausalLM

    tokenizer, proto = gemma_words()

    def ask(question: str) -> list[int]:
        # As the chat template of Gemma 3 writes it.
        turn = f"<start_of_turn>user\n{tiny.SYSTEM}\n\n{question}<end_of_turn>\n"
        return [2, *tokenizer.encode(f"{turn}<start_of_turn>model\n")]

    network = random(Gemma3ForCausalLM(gemma_config(tokenizer.get_piece_size())))
    save(network, path, spiece_model=proto)
    decode = lambda ids: tokenizer.decode([i for i in ids if i != 106])
    return Small(network, ask, decode)


def save(network, path: Path, without: str = "-", **more: torch.Tensor) -> None:
    """The weights alone, as text encoders are passed around."""
    state = {k: v.detach().clone() for k, v in network.state_dict().items()}
    if network.config.tie_word_embeddings:
        del state["lm_head.weight"]
    state.pop(without, None)
    save_file({**state, **more}, path)
