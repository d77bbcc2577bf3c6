"""Tiny real chat models: a byte-level BPE trained on a few sentences, and a transformer that
learned by heart what to answer. Saved as transformers saves any model."""

from __future__ import annotations

from pathlib import Path

import torch

SYSTEM = 'Describe the first frame. Answer as {"frame": "..."} in one line.'
QUESTION = "a red ball rolls off a table"
ANSWER = '{"frame": "A red ball rests at the edge of a wooden table, about to roll."}'
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)


def save(folder: Path, family: str = "qwen2", template: str | None = TEMPLATE) -> Path:
    """A model of a family ("qwen2" or "qwen3") that answers QUESTION with ANSWER."""
    tokenizer = _tokenizer(template)
    network = _network(family, len(tokenizer))
    learn(network, asked(tokenizer), tokenizer(ANSWER + "<|im_end|>")["input_ids"])
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(template: str | None):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([SYSTEM, QUESTION, ANSWER] * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=template,
    )


def _network(family: str, vocabulary: int):
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "qwen2":  # untied, as the 7B
            return Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=False, **shape))
        return Qwen3ForCausalLM(Qwen3Config(tie_word_embeddings=True, head_dim=16, **shape))


def asked(tokenizer, question: str = QUESTION) -> list[int]:
    """The chat's tokens, up to where the answer begins."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    template = tokenizer.chat_template or TEMPLATE
    return tokenizer.apply_chat_template(
        messages,
        chat_template=template,
        add_generation_prompt=True,
        enable_thinking=False,
        return_dict=True,
    )["input_ids"]


def learn(network, given: list[int], answer: list[int], most_steps: int = 400) -> None:
    """Until the network knows by heart what to answer."""
    tokens = torch.tensor([given + answer])
    labels = torch.tensor([[-100] * len(given) + answer])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(most_steps):
        optimizer.zero_grad()
        loss = network(input_ids=tokens, labels=labels).loss
        if loss.item() < 0.02:
            return
        loss.backward()
        optimizer.step()
    raise AssertionError(f"not learned: {loss.item():.3f}")
