"""The compute package of FVG for ComfyUI. Knows torch, never ComfyUI."""

__version__ = "0.1.0"
