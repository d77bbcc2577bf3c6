"""Looking in on a network while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def before_each_layer(network: nn.Module, tick: Callable[[], None]) -> Iterator[None]:
    """Calls `tick` before every layer: often enough on any machine, also within one token."""

    def hook(*_: object) -> None:
        tick()

    layers = [
        layer for part in network.modules() if isinstance(part, nn.ModuleList) for layer in part
    ]
    hooks = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for hook_handle in hooks:
            hook_handle.remove()
