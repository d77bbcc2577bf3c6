"""Language models of the host: its folders, its memory, its owner's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import comfy.model_management
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher

from ...fvg_core.errors import LanguageModelError
from ...fvg_core.llm import (
    FolderModel,
    LanguageModel,
    folder_key,
    is_model_folder,
    open_folder,
    open_server,
    read_config,
)
from .clip_llm import open_clip

_KIND = "LLM"


def register_language_models() -> None:
    """Let models/LLM, and LLM in the extra model paths, hold language models."""
    folder_paths.add_model_folder_path(_KIND, str(Path(folder_paths.models_dir, _KIND)))


def language_model_folders() -> list[str]:
    """Folders with a language model below models/LLM, by name, as for a combo."""
    return sorted(_folders())


def open_model(
    backend: str, *, clip=None, folder: str = "", dtype: str = "bf16"
) -> AbstractContextManager[LanguageModel]:
    """A language model for as long as a `with`: backend clip, transformers or server.

    folder: one of language_model_folders(). dtype: bf16, fp32 or 4bit. Raises LanguageModelError.
    """
    table = {
        "clip": lambda: open_clip(clip),
        "transformers": lambda: _open_folder(folder, dtype),
        "server": lambda: open_server(read_config(_config_file())),
    }
    if backend not in table:
        raise LanguageModelError(f"{backend!r} is no backend; choose one of {', '.join(table)}.")
    return table[backend]()


def model_key(backend: str, folder: str, dtype: str) -> str:
    """A model's key where it is known without opening it; "" elsewhere."""
    path = _folders().get(folder) if backend == "transformers" else None
    return folder_key(path, dtype) if path else ""


def model_stamp(backend: str, folder: str = "") -> str:
    """Changes with the files that say which model a backend asks; holds none of their text."""
    if backend == "server":
        try:
            state = _config_file().stat()
        except OSError:
            return "no server"
        return f"{state.st_size} {state.st_mtime_ns}"
    return model_key(backend, folder, "")


def _config_file() -> Path:
    """In a folder of the host's user directory that its HTTP routes cannot reach."""
    return Path(folder_paths.get_system_user_directory("fvg"), "llm.json")


def _folders() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in map(Path, folder_paths.get_folder_paths(_KIND)):
        for config in (*root.glob("*/config.json"), *root.glob("*/*/config.json")):
            if is_model_folder(config.parent):
                found.setdefault(config.parent.relative_to(root).as_posix(), config.parent)
    return found


@contextmanager
def _open_folder(name: str, dtype: str) -> Iterator[FolderModel]:
    folders = _folders()
    if name not in folders:
        known = ", ".join(sorted(folders)) or "none yet"
        raise LanguageModelError(
            f"there is no language model {name!r} in models/LLM (there: {known}). Put the whole "
            "folder of an Instruct model there, e.g. Qwen2.5-7B-Instruct from Hugging Face."
        )
    device = comfy.model_management.text_encoder_device()
    if dtype == "4bit":
        # Such weights can neither be moved nor offloaded: make room, load, use, delete.
        comfy.model_management.free_memory(_four_bit_size(folders[name]), device)
    try:
        with open_folder(folders[name], dtype, device if dtype == "4bit" else "cpu") as model:
            if dtype != "4bit":
                model.place = _managed(model.network, device)
            yield model
    finally:
        comfy.model_management.soft_empty_cache()


def _four_bit_size(path: Path) -> int:
    """Bytes: a quarter of the 16-bit files, and as much for embeddings, heads and cache."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors")) // 2


class _Held(torch.nn.Module):
    """What the host may write its notes on; a transformers model allows no `device`."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network


def _managed(network: torch.nn.Module, device: torch.device):
    """A call that has the host load the weights whole, and make room for them."""
    patcher = ModelPatcher(_Held(network), device, torch.device("cpu"))
    return lambda: comfy.model_management.load_models_gpu([patcher], force_full_load=True)
