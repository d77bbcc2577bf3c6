"""The paper's tables on the tiny world's second edition, through a real ComfyUI."""
