"""How LoRAs spell their keys, and which scale a file means.

host       diffusion_model.blocks.0.self_attn.q.lora_A.weight (or lora_down), with .alpha; ComfyUI,
           Musubi after conversion, Pusa as repackaged for ComfyUI (its rank differs by layer)
diffusers  transformer.blocks.0.attn1.to_q.lora_A.weight; alpha in the metadata
peft       base_model.model.blocks.0.self_attn.q.lora_A.weight; alpha in adapter_config.json
kohya      lora_unet_blocks_0_self_attn_q.lora_down.weight, with .alpha; Musubi, kohya's scripts
diffsynth  blocks.0.self_attn.q.lora_A.default.weight, scale 1; DiffSynth-Studio, and Pusa V1 as
           published (Yaofang-Liu/Pusa-VidGen PusaV1/examples/pusavideo/train_wan_pusa.py saves,
           PusaV1/diffsynth/models/lora.py reads: B A, times a strength that the user sets)

Without an alpha the scale is 1 (alpha = rank). Below the prefix a layer may have diffusers' name or
the published one, except in kohya's layout.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ..errors import LoraError
from .names import Names

ADAPTER_METADATA = "lora_adapter_metadata"  # where diffusers keeps peft's configuration
_PREFIXES = {
    "diffusion_model.": "host",
    "transformer.": "diffusers",
    "base_model.model.": "peft",
    "lora_unet_": "kohya",
    "pipe.dit.": "diffsynth",
    "": "diffsynth",
}
_KEY = re.compile(r"(.+?)\.(?:lora_(A|B|down|up)(?:\.\w+)?\.weight|(alpha))")
_PARTS = {"A": "A", "down": "A", "B": "B", "up": "B"}
_NOT_PLAIN = ("use_dora", "use_rslora", "lora_bias")


def parse(key: str, names: Names) -> tuple[str, str, str] | None:
    """(layout, published layer name, "A" | "B" | "alpha") of a key; None if it is none of ours."""
    prefix = next(p for p in _PREFIXES if key.startswith(p))
    match = _KEY.fullmatch(key, len(prefix))
    if match is None:
        return None
    flat = prefix == "lora_unet_"
    module = names.from_flat(match[1].lstrip("_")) if flat else names.to_published(match[1])
    if module is None or not names.is_linear(module):
        return None
    return _PREFIXES[prefix], module, match[3] or _PARTS[match[2]]


def spell(module: str, part: str, layout: str, names: Names) -> str:
    """The key of a layer's A, B or alpha in the layouts that we write, host and diffusers."""
    if layout == "host":
        module = f"diffusion_model.{module}"
    else:
        module = f"transformer.{names.to_diffusers(module)}"
    return f"{module}.alpha" if part == "alpha" else f"{module}.lora_{part}.weight"


def config_alphas(config: Mapping, ranks: Mapping[str, int], names: Names) -> dict[str, float]:
    """Alpha of every layer from peft's configuration. Raises LoraError for one that is not plain.

    config: `lora_alpha`, and `alpha_pattern` from layers (or the ends of their names) to others.
    """
    special = [name for name in _NOT_PLAIN if config.get(name)]
    if special:
        raise LoraError(
            f"the LoRA was trained with {', '.join(special)}; only plain LoRA (A, B and alpha) is "
            "read. Merge it in the tool that made it, or train it without."
        )
    usual = config.get("lora_alpha")
    alphas = {m: _number(rank if usual is None else usual, m) for m, rank in ranks.items()}
    # peft reads these as regular expressions; from a file of unknown origin, only as names.
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, Mapping):
        raise LoraError(f"alpha_pattern is {patterns!r}; it must map layers to numbers.")
    for pattern, alpha in reversed(patterns.items()):  # the first that names a layer wins
        layers = [m for m in ranks if _ends(m, pattern) or _ends(names.to_diffusers(m), pattern)]
        if not layers:
            raise LoraError(
                f"the LoRA sets another alpha for {pattern!r}, which names none of its layers. "
                "Write the alphas out with the tool that made it."
            )
        alphas |= dict.fromkeys(layers, _number(alpha, pattern))
    return alphas


def _ends(name: str, pattern: str) -> bool:
    return f".{name}".endswith(f".{pattern.removeprefix('^')}")


def _number(value: object, module: str) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise LoraError(f"the alpha of {module} is {value!r}; it must be a finite number.")
