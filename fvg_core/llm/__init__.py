"""Language models as backends of the prompt rewriter. One file per backend, one contract.

base     messages in, text out
local    a folder of safetensors, through transformers
server   an OpenAI-compatible chat server; config: which one, by the owner of the machine
chat     chats as text, for models without a tokenizer's template; replies without thoughts
watch    looking in on a network while it works
"""

from .base import LanguageModel, Message, Sampling
from .config import ServerConfig, read_config
from .local import DTYPES, FolderModel, folder_key, is_model_folder, open_folder
from .server import open_server

__all__ = [
    "DTYPES",
    "FolderModel",
    "LanguageModel",
    "Message",
    "Sampling",
    "ServerConfig",
    "folder_key",
    "is_model_folder",
    "open_folder",
    "open_server",
    "read_config",
]
