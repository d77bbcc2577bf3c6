"""A random Wan pipeline of diffusers on disk, clips of the tiny world, and a job of both."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from fvg_core.tiny import captions
from fvg_core.tiny.clips import write_clips
from fvg_core.tiny.words import sample_prompt

FEATURES = 16  # of a text token
TRANSFORMER = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": FEATURES,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
}
TEXT = {"vocab_size": 200, "d_model": FEATURES, "d_kv": 8, "d_ff": 16, "num_heads": 2}


def write_pipeline(folder: Path) -> Path:
    """The four parts, with the layout of Wan-AI/Wan2.1-T2V-1.3B-Diffusers."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    WanTransformer3DModel(**TRANSFORMER).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=4, num_res_blocks=1).save_pretrained(folder / "vae")
    config = UMT5Config(**TEXT, num_layers=1, feed_forward_proj="gated-gelu")
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    _tokenizer().save_pretrained(folder / "tokenizer")
    return folder


def write_job(folder: Path, pipeline: Path, clips: Path, **values: str) -> Path:
    """A TOML file. values: whole tables as text, in place of these."""
    tables = {
        "top": "steps = 6\nbatch = 4\nseed = 5",
        "model": f'folder = "{pipeline}"\ntext_length = 24',
        "data": f'folder = "{clips}"\nwidth = 32\nheight = 32\nlength = 9\nfps = 8',
        "lora": "rank = 3",
        "optimizer": "lr = 3e-3\nwarmup = 0",
        "memory": 'dtype = "fp32"',
        "keep": "checkpoint_every = 2\nvalidate_every = 3\nvalidation_clips = 1",
        **values,
    }
    top = tables.pop("top")
    text = "\n\n".join([top, *(f"[{name}]\n{table}" for name, table in tables.items())])
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    return path


def write_world(folder: Path, count: int = 5) -> Path:
    write_clips(folder, count)
    return folder


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({w for said in _texts() for w in said.split()})
    vocabulary = {w: i for i, w in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _texts() -> list[str]:
    rng = random.Random(0)
    prompts = [sample_prompt(rng, held_out=None) for _ in range(200)]
    return [captions.text(captions.prompt_spans(prompt, rng)) for prompt in prompts]
