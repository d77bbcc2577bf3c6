"""What a node has to say without failing: on the node itself, and in the log."""

from __future__ import annotations

import logging

_shown: set[str] = set()  # nodes that show a text of ours


def tell(node: str, text: str) -> None:
    """Show a text on a node. The frontend keeps it until another one comes."""
    from server import PromptServer

    server = PromptServer.instance
    server.send_progress_text(text, node, server.client_id)


def warn_on(node: str, warning: str | None, otherwise: str | None = None) -> None:
    """Show a warning on a node and log it; without one show `otherwise`, or take an earlier text
    back."""
    if warning is not None:
        logging.warning("FVG, node %s: %s", node, warning)
    text = warning or otherwise
    if text is not None:
        _shown.add(node)
    elif node not in _shown:
        return
    else:
        _shown.remove(node)
    tell(node, text or "No warning any more.")
