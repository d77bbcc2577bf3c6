"""A UMT5 of any size, with a vocabulary of its own."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

CONFIG = {
    "vocab_size": 640,
    "d_model": 128,
    "d_kv": 32,
    "d_ff": 256,
    "num_heads": 4,
    "num_layers": 3,
}
MIN_LENGTH = 32  # tokens; shorter prompts are padded with zeros, as Wan pads to 512
EOS = 1


def vocabulary(lines: Iterable[str]) -> bytes:
    """A serialised sentencepiece model over captions, with every byte as a fallback."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        vocab_size=CONFIG["vocab_size"],
        hard_vocab_limit=False,
        byte_fallback=True,
        pad_id=0,
        eos_id=EOS,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def build(config: Mapping[str, int] = CONFIG) -> nn.Module:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(**config, feed_forward_proj="gated-gelu", dropout_rate=0.0, use_cache=False)
    )


class TextEncoder:
    """Prompt -> features [B, MIN_LENGTH or more, d_model], padding zeroed, as the host does it."""

    def __init__(self, pieces: bytes, model: nn.Module):
        import sentencepiece

        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=pieces)
        self.model = model

    def encode_ids(self, ids: list[list[int]]) -> Tensor:
        length = max(MIN_LENGTH, *(len(i) for i in ids))
        device = self.model.device
        padded = torch.tensor([i + [0] * (length - len(i)) for i in ids], device=device)
        lengths = torch.tensor([len(i) for i in ids], device=device)
        mask = (torch.arange(length, device=device) < lengths[:, None]).long()
        hidden = self.model(input_ids=padded, attention_mask=mask).last_hidden_state
        return hidden * mask[..., None]

    @torch.no_grad()
    def __call__(self, prompts: list[str]) -> Tensor:
        return self.encode_ids([[*self.pieces.encode(p), EOS] for p in prompts])
