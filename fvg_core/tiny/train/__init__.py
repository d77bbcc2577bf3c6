"""Makes the second edition's weights: `python -m fvg_core.tiny train`."""
