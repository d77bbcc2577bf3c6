"""Names of a family's layers: diffusers' transformer <-> the published checkpoints, or for
CogVideoX, which is published in diffusers' layout only, the host's.

The host keeps the published names. A row holds for the named module or parameter and all below it;
the longest row wins. Containers without a counterpart (`ffn.net`, `rope`) keep their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Wan: diffusers, published. Inside a block:
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
# CogVideoX: diffusers, ComfyUI's comfy/ldm/cogvideo/model.py. Inside a block:
_COG_BLOCK = {
    "attn1.to_q": "q",
    "attn1.to_k": "k",
    "attn1.to_v": "v",
    "attn1.to_out.0": "attn_out",
    "attn1.norm_q": "norm_q",
    "attn1.norm_k": "norm_k",
    "norm1.linear": "norm1.linear",
    "norm2.linear": "norm2.linear",
    "ff.net.0.proj": "ff_proj",
    "ff.net.2": "ff_out",
}
# Outside the blocks:
_COG_TOP = {
    "patch_embed.proj": "patch_embed.proj",
    "patch_embed.text_proj": "patch_embed.text_proj",
    "time_embedding.linear_1": "time_embedding_linear_1",
    "time_embedding.act": "time_embedding_act",
    "time_embedding.linear_2": "time_embedding_linear_2",
    "norm_out.linear": "norm_out.linear",
    "proj_out": "proj_out",
}
_FLAT_INDEX = re.compile(r"blocks_(\d+)_")


class Names:
    """One family's two sets of names."""

    def __init__(
        self,
        block: Mapping[str, str],
        top: Mapping[str, str],
        linear: str,
        container: str = "blocks",  # of the blocks in diffusers; published they are `blocks`
    ) -> None:
        self._rows, self._container = (block, top), container
        self._back = tuple({v: k for k, v in rows.items()} for rows in self._rows)
        self._linear = re.compile(linear)
        self._flat = tuple({v.replace(".", "_"): v for v in rows} for rows in self._back)

    def to_published(self, name: str) -> str:
        """The published name of a module or parameter that diffusers calls `name`."""
        return _rename(name, self._container, "blocks", *self._rows)

    def to_diffusers(self, name: str) -> str:
        """The inverse of `to_published`."""
        return _rename(name, "blocks", self._container, *self._back)

    def is_linear(self, name: str) -> bool:
        """Whether the family's models have a linear layer of this published name."""
        return self._linear.fullmatch(name) is not None

    def from_flat(self, name: str) -> str | None:
        """The published name behind kohya's flattened one (`blocks_0_self_attn_q`), or None."""
        index = _FLAT_INDEX.match(name)
        block, top = self._flat
        if index:
            local = block.get(name[index.end() :])
            return local and f"blocks.{index[1]}.{local}"
        return top.get(name)


def natural_order(name: str) -> list[str | int]:
    """A sort key under which block 2 comes before block 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _rename(
    name: str, container: str, renamed: str, block: Mapping[str, str], top: Mapping[str, str]
) -> str:
    index = re.match(rf"{container}\.(\d+\.)", name)
    head, rest, rows = (
        (f"{renamed}.{index[1]}", name[index.end() :], block) if index else ("", name, top)
    )
    known, tail = rest, ""
    while known:
        if known in rows:
            return head + rows[known] + tail
        known, dot, last = known.rpartition(".")
        tail = dot + last + tail
    return head + rest


WAN_NAMES = Names(
    _BLOCK,
    _TOP,
    # text-to-video and image-to-video
    r"blocks\.\d+\.((self|cross)_attn\.[qkvo]|cross_attn\.[kv]_img|ffn\.[02])"
    r"|(text|time)_embedding\.[02]|time_projection\.1|head\.head|img_emb\.proj\.[13]",
)
COGVIDEOX_NAMES = Names(
    _COG_BLOCK,
    _COG_TOP,
    r"blocks\.\d+\.([qkv]|attn_out|ff_(proj|out)|norm[12]\.linear)"
    r"|patch_embed\.(text_)?proj|time_embedding_linear_[12]|norm_out\.linear|proj_out",
    "transformer_blocks",
)
_ONLY_COGVIDEOX = re.compile(
    r"transformer_blocks|(^|[._])blocks[._]\d+[._]([qkv]|attn_out|ff_(proj|out)|norm1.linear)\."
    r"|patch_embed|time_embedding_linear|norm_out.linear"
)


def names_of(keys: Iterable[str]) -> Names:
    """The family that a LoRA's keys, or the names of its layers, belong to."""
    return COGVIDEOX_NAMES if any(map(_ONLY_COGVIDEOX.search, keys)) else WAN_NAMES
