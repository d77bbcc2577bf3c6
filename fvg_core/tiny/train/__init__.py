"""Makes the tiny world's weights from nothing: `python -m fvg_core.tiny train`."""
