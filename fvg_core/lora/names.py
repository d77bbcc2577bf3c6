"""Names of Wan's layers: diffusers' WanTransformer3DModel <-> the published checkpoints.

The host keeps the published names. A row holds for the named module or parameter and all below it;
the longest row wins. Containers without a counterpart (`ffn.net`, `rope`) keep their name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# diffusers, published. Inside a block:
_BLOCK = {
    "attn1": "self_attn",
    "attn1.to_q": "self_attn.q",
    "attn1.to_k": "self_attn.k",
    "attn1.to_v": "self_attn.v",
    "attn1.to_out.0": "self_attn.o",
    "attn2": "cross_attn",
    "attn2.to_q": "cross_attn.q",
    "attn2.to_k": "cross_attn.k",
    "attn2.to_v": "cross_attn.v",
    "attn2.to_out.0": "cross_attn.o",
    "attn2.add_k_proj": "cross_attn.k_img",
    "attn2.add_v_proj": "cross_attn.v_img",
    "attn2.norm_added_k": "cross_attn.norm_k_img",
    "norm2": "norm3",
    "norm3": "norm2",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "scale_shift_table": "modulation",
}
# Outside the blocks:
_TOP = {
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.act_1": "text_embedding.1",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.act": "time_embedding.1",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.act_fn": "time_projection.0",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "condition_embedder.image_embedder.pos_embed": "img_emb.emb_pos",
    "norm_out": "head.norm",
    "proj_out": "head.head",
    "scale_shift_table": "head.modulation",
}
_LINEAR = re.compile(
    r"blocks\.\d+\.((self|cross)_attn\.[qkvo]|cross_attn\.[kv]_img|ffn\.[02])"
    r"|(text|time)_embedding\.[02]|time_projection\.1|head\.head|img_emb\.proj\.[13]"
)
_INDEX = re.compile(r"blocks\.\d+\.")
_FLAT_INDEX = re.compile(r"blocks_(\d+)_")


def to_published(name: str) -> str:
    """The published name of a module or parameter that diffusers calls `name`."""
    return _rename(name, _BLOCK, _TOP)


def to_diffusers(name: str) -> str:
    """The inverse of `to_published`."""
    return _rename(name, _BLOCK_BACK, _TOP_BACK)


def is_linear(name: str) -> bool:
    """Whether Wan's text-to-video or image-to-video models have a linear layer of this name."""
    return _LINEAR.fullmatch(name) is not None


def from_flat(name: str) -> str | None:
    """The published name behind kohya's flattened one (`blocks_0_self_attn_q`), or None."""
    index = _FLAT_INDEX.match(name)
    if index:
        local = _FLAT_BLOCK.get(name[index.end() :])
        return local and f"blocks.{index[1]}.{local}"
    return _FLAT_TOP.get(name)


def natural_order(name: str) -> list[str | int]:
    """A sort key under which block 2 comes before block 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _rename(name: str, block: Mapping[str, str], top: Mapping[str, str]) -> str:
    index = _INDEX.match(name)
    head, rest, rows = (index[0], name[index.end() :], block) if index else ("", name, top)
    known, tail = rest, ""
    while known:
        if known in rows:
            return head + rows[known] + tail
        known, dot, last = known.rpartition(".")
        tail = dot + last + tail
    return name


_BLOCK_BACK = {published: name for name, published in _BLOCK.items()}
_TOP_BACK = {published: name for name, published in _TOP.items()}
_FLAT_BLOCK = {published.replace(".", "_"): published for published in _BLOCK_BACK}
_FLAT_TOP = {published.replace(".", "_"): published for published in _TOP_BACK}
