"""What the pack costs: per sampling step, at the host's start, in the demo. Not packaged.

`python -m benchmarks` measures against a real ComfyUI and records a dated folder in `results/`.
"""
