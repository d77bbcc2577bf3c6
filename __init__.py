"""Factorized Video Generation for ComfyUI."""

WEB_DIRECTORY = "./js"


async def comfy_entrypoint():
    """Called by ComfyUI. Everything that needs the host is imported here, not at import time."""
    from .nodes import extension

    return extension()
