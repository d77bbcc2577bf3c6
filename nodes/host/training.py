"""The transformer of a MODEL as something that can be trained, and the host while it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import comfy.model_management
import torch
from comfy.ldm.modules.attention import attention_basic, attention_pytorch
from torch import Tensor, nn

from ...fvg_core.backbones.tokenwise import flat_timesteps, take_tokens
from ...fvg_core.errors import ModelMismatchError
from ...fvg_core.files import weights_key
from ...fvg_core.pairs import token_times
from ...fvg_core.process import TIMESTEPS
from .cogvideox import has_pairs
from .models import text_features, trainable_spec_of
from .weights import patches_hash

_PLAIN_TOKENS = 2048  # beyond them the matrix of plain attention grows too large


class HostWan:
    """A Backbone over a second copy of a MODEL's weights, so that the graph's own stay as they
    are. LoRAs that the MODEL carries are merged into the copy: what is trained sits on top of
    them, as it will when sampling."""

    def __init__(self, model, dtype: torch.dtype) -> None:
        """`dtype` is what is computed in; below fp32 by autocast. Raises ModelMismatchError for a
        MODEL that cannot be trained."""
        self.spec = trainable_spec_of(model)
        self.text_features = text_features(model)
        self._patcher = _second_copy(model)
        self.module: nn.Module = self._patcher.model.diffusion_model
        if dtype == torch.float32:
            _widen_weights(self.module)
            self._patcher.size = 0  # the host counts it anew
        else:
            _round_weights(self.blocks, dtype)
        self.device: torch.device = self._patcher.load_device

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.module.blocks)

    def published_name(self, name: str) -> str:
        """The host keeps the published names."""
        return name

    def denoise(self, x: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        kind = x.device.type
        autocast = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if autocast else torch.float32
        return self.module(
            x.to(dtype),
            self._timesteps(sigma),
            context=text.to(dtype),
            transformer_options={"optimized_attention_override": _differentiable_attention},
        )

    def _timesteps(self, sigma: Tensor) -> Tensor:
        """One for every frame: the host's model takes [B, F]."""
        return sigma * TIMESTEPS

    def load(self, working_bytes: int = 0) -> None:
        """Onto the device, whole; other models make room for it and for `working_bytes` more.
        Also when another model has taken its place meanwhile."""
        comfy.model_management.load_models_gpu(
            [self._patcher], memory_required=working_bytes, force_full_load=True
        )
        # Merged LoRAs are part of the weights now. Nothing is left for the host to undo, which it
        # would try under the names that the layers had before they got an adapter.
        self._patcher.patches.clear()
        self._patcher.backup.clear()
        self.module.to(self.device)

    def unload(self) -> None:
        self._patcher.detach()
        comfy.model_management.soft_empty_cache()


class HostCogVideoX(HostWan):
    """The same for CogVideoX 1.5, whose second copy takes a timestep for every pair."""

    def __init__(self, model, dtype: torch.dtype) -> None:
        super().__init__(model, dtype)
        take_tokens(self.blocks, self.module.norm_out)

    def _timesteps(self, sigma: Tensor) -> Tensor:
        tokens = self.spec.process.timestep(token_times(sigma, self.spec.patch_time))
        return flat_timesteps(tokens.amax(1), tokens)


def _second_copy(model):
    """The MODEL's weights loaded anew from disk, with its LoRAs and without what else it carries.

    Wrappers, object patches and attention patches change how a model is sampled, not what it
    knows; they stay with the graph's own MODEL.
    """
    if model.injections:
        raise ModelMismatchError(
            "the MODEL carries a LoRA in bypass mode, which cannot be trained on. Apply it with "
            "the stock node LoraLoaderModelOnly instead."
        )
    if not any(isinstance(m, nn.Linear) for m in model.model.diffusion_model.blocks.modules()):
        raise ModelMismatchError(
            "the MODEL's weights are quantised (as those of *_fp8_scaled files are), and a LoRA "
            "cannot be trained on them. Take the bf16 or fp16 file of the model; where memory is "
            "short, set weight_dtype of Load Diffusion Model to fp8_e4m3fn."
        )
    if model.cached_patcher_init is None:
        raise ModelMismatchError(
            "the MODEL cannot be loaded a second time, which training needs so that your graph "
            "keeps its own. Load it with a loader of ComfyUI (Load Diffusion Model, Load "
            "Checkpoint) or with the Tiny World Loader; GGUF and other special loaders do not "
            "work here."
        )
    patcher = model.clone(disable_dynamic=True, force_deepcopy=True)
    patcher.object_patches.clear()
    return patcher


def _round_weights(blocks: Sequence[nn.Module], dtype: torch.dtype) -> None:
    """Once, what autocast would do at every step to fp32 weights of linear layers."""
    for block in blocks:
        for layer in block.modules():
            if isinstance(layer, nn.Linear) and layer.weight.dtype == torch.float32:
                layer.to(dtype)


def _widen_weights(module: nn.Module) -> None:
    """On a GPU the host's layers compute in the 16 bits of their file, and take no fp32 input.
    Layers in 8 bits cast their weights themselves."""
    for weight in module.parameters():
        if weight.dtype in (torch.float16, torch.bfloat16):
            weight.data = weight.data.float()


def _differentiable_attention(chosen, q: Tensor, *args, **kwargs) -> Tensor:
    """In place of what the host has chosen (SageAttention, for example, has no gradient).

    On a CPU in bf16 torch's fused attention costs more backwards than its plain products.
    """
    plain = q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[1] <= _PLAIN_TOKENS
    return (attention_basic if plain else attention_pytorch)(q, *args, **kwargs)


@contextlib.contextmanager
def training(model, dtype: torch.dtype) -> Iterator[HostWan]:
    """A trainable copy of a MODEL, to be loaded, and the host set up for gradients meanwhile."""
    management = comfy.model_management
    before = management.in_training
    # Nodes run in inference mode, whose tensors can never take part in a gradient.
    with torch.inference_mode(False):
        backbone = (HostCogVideoX if has_pairs(model) else HostWan)(model, dtype)
        management.in_training = True  # the host's fused rotary embedding has no gradient
        try:
            yield backbone
        finally:
            management.in_training = before
            backbone.unload()


def base_of(model) -> dict[str, str]:
    """Which model a LoRA is trained on: its file and what is in it, its class, and the LoRAs
    merged into it."""
    source = model.cached_patcher_init
    path = Path(str(source[1][0]) if source else "unknown")
    return {
        "base_model": path.name,
        "base_model_weights": weights_key(p for p in [path] if p.is_file()),
        "base_model_class": type(model.model).__name__,
        "base_model_merged": patches_hash(model),
    }
