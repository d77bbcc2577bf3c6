"""Makes the tiny world's weights: `python -m fvg_core.tiny train`."""
