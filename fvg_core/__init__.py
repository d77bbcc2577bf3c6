"""The compute package of FVG for ComfyUI. Knows torch, never ComfyUI."""
