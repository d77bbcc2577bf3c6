"""A LoRA inside a backbone: peft's layers, put in place of the linear layers and taken out again.

The master weights are fp32 whatever the model's dtype, and their start depends on the seed and on
the layers' names alone: the same for the host's model and for diffusers', on any device.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..backbones.base import Backbone
from ..errors import LoraError
from .names import natural_order

_ADAPTER = "default"  # peft's name for the only adapter in a model


@dataclass(frozen=True)
class _Site:
    """Where one LoRA sits: peft's layer around a plain one."""

    name: str  # as published
    plain: nn.Linear
    lora: nn.Module

    def weight(self, part: str) -> nn.Parameter:
        return getattr(self.lora, f"lora_{part}")[_ADAPTER].weight


class Adapter:
    """The LoRA of a backbone; made by `attach`."""

    def __init__(self, sites: list[_Site], undo: _Undo) -> None:
        self._sites, self._undo = sites, undo
        self.names = tuple(site.name for site in sites)

    def parameters(self) -> list[nn.Parameter]:
        """A [rank, in] and B [out, rank] of every layer, in the order of `names`."""
        return list(self._weights().values())

    def state(self) -> dict[str, Tensor]:
        """Copies on the CPU, as `<published name>.lora_A.weight` and `.lora_B.weight`."""
        return {k: w.detach().to("cpu", copy=True) for k, w in self._weights().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state()` gave. Raises LoraError unless names and shapes agree."""
        weights = self._weights()
        _check_names(weights.keys(), state.keys())
        for key, weight in weights.items():
            if state[key].shape != weight.shape:
                raise LoraError(
                    f"{key} is {list(state[key].shape)}; this model and rank need "
                    f"{list(weight.shape)}. Set the rank of the LoRA, or load the model that it "
                    "was trained on."
                )
        with torch.no_grad():
            for key, weight in weights.items():
                weight.copy_(state[key])

    def train(self, mode: bool = True) -> None:
        """Switch the LoRA's dropout on, as it is after `attach`, or off."""
        for site in self._sites:
            site.lora.lora_dropout.train(mode)

    def eject(self) -> None:
        """Leave the model as it was found. Safe to call twice."""
        self._undo()

    def _weights(self) -> dict[str, nn.Parameter]:
        return {
            f"{site.name}.lora_{part}.weight": site.weight(part)
            for site in self._sites
            for part in "AB"
        }


class _Undo:
    """What attaching changes in a module, and the way back."""

    def __init__(self, module: nn.Module, places: list[tuple[nn.Module, str]]) -> None:
        self.module = module
        self.plain = [(parent, child, getattr(parent, child)) for parent, child in places]
        self.trainable = [(p, p.requires_grad) for p in module.parameters()]
        self.modes = [(m, m.training) for m in module.modules()]

    def __call__(self) -> None:
        for parent, child, plain in self.plain:
            setattr(parent, child, plain)
        for parameter, trainable in self.trainable:
            # Only inference mode may switch the gradient of an inference tensor on.
            with torch.inference_mode(parameter.is_inference()):
                parameter.requires_grad_(trainable)
        for module, training in self.modes:
            module.training = training
        self.module.__dict__.pop("peft_config", None)


def attach(
    backbone: Backbone,
    *,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    targets: str | None = None,
    seed: int = 0,
) -> Adapter:
    """Put a LoRA into the layers whose published names match `targets` and freeze the rest.

    targets: regex over whole names; the backbone's own when None. The LoRA adds
    alpha / rank * B A, with A uniform (Kaiming, as peft) and B zero. Raises LoraError.
    """
    _check_numbers(rank, alpha, dropout)
    module = backbone.module
    if hasattr(module, "peft_config"):
        raise LoraError(
            "the model carries a LoRA already. Eject it, or load the model anew, before another "
            "one is attached."
        )
    found = _find(backbone, backbone.spec.lora_targets if targets is None else targets)
    places = [_place(module, path) for path in found.values()]
    undo = _Undo(module, places)
    try:
        # In a node of the host, new tensors would be inference tensors, which cannot be trained.
        with torch.inference_mode(False):
            _inject(module, list(found.values()), rank, alpha, dropout)
            sites = [
                _Site(name, plain, getattr(parent, child))
                for name, (parent, child, plain) in zip(found, undo.plain, strict=True)
            ]
            for site in sites:
                _initialise(site, rank, seed)
    except BaseException:
        undo()
        raise
    return Adapter(sites, undo)


def _check_numbers(rank: int, alpha: float, dropout: float) -> None:
    for name, value, good, want in (
        ("rank", rank, isinstance(rank, int) and rank > 0, "a whole number of at least 1"),
        ("alpha", alpha, 0 < alpha < math.inf, "above 0 (equal to the rank for scale 1)"),
        ("dropout", dropout, 0 <= dropout < 1, "at least 0 and below 1"),
    ):
        if not good:
            raise LoraError(f"the LoRA's {name} is {value}; it must be {want}.")


def _find(backbone: Backbone, targets: str) -> dict[str, str]:
    """Published name -> name in the module, of the linear layers that match, in natural order."""
    linear = {
        backbone.published_name(name): name
        for name, layer in backbone.module.named_modules()
        if isinstance(layer, nn.Linear)
    }
    if not linear:
        raise LoraError(
            "the model has no plain linear layers; quantised ones cannot take a LoRA that is to be "
            "trained. Load its bf16 or fp16 weights."
        )
    try:
        pattern = re.compile(targets)
    except re.error as error:
        message = f"the LoRA targets {targets!r} are not a regular expression: {error}."
        raise LoraError(message) from error
    names = sorted(filter(pattern.fullmatch, linear), key=natural_order)
    if not names:
        some = ", ".join(sorted(linear, key=natural_order)[:8])
        raise LoraError(
            f"the LoRA targets {targets!r} match no linear layer of this model, which has "
            f"{len(linear)}: {some}{', ...' if len(linear) > 8 else ''}. The expression must match "
            "whole names; leave it empty for the model's default."
        )
    return {name: linear[name] for name in names}


def _place(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    parent, _, child = path.rpartition(".")
    return module.get_submodule(parent), child


def _inject(module: nn.Module, paths: list[str], rank: int, alpha: float, dropout: float) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="|".join(map(re.escape, paths)),
    )
    # On the meta device no random number is drawn and nothing is rounded to the model's dtype.
    inject_adapter_in_model(config, module, _ADAPTER, low_cpu_mem_usage=True)


def _initialise(site: _Site, rank: int, seed: int) -> None:
    """A and B of one layer, in fp32 on the layer's device."""
    plain = site.plain
    digest = hashlib.sha256(f"{seed}:{site.name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    a = torch.empty(rank, plain.in_features, dtype=torch.float32, device="cpu")
    nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
    b = torch.zeros(plain.out_features, rank, dtype=torch.float32, device="cpu")
    for part, value in (("A", a), ("B", b)):
        layer = getattr(site.lora, f"lora_{part}")[_ADAPTER]
        layer.weight = nn.Parameter(value.to(plain.weight.device))


def _check_names(expected: Set[str], given: Set[str]) -> None:
    missing, unknown = sorted(expected - given), sorted(given - expected)
    if missing or unknown:
        both = "; ".join(
            f"{word} {len(keys)}: {', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''}"
            for word, keys in (("missing", missing), ("unknown", unknown))
            if keys
        )
        raise LoraError(
            f"the LoRA does not fit the layers that were given one ({both}). Attach it with the "
            "targets and the model that it was trained with."
        )
