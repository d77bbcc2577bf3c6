"""The paper's tables on the tiny world, through a real ComfyUI."""
