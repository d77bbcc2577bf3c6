"""What a node has to say without failing: on the node itself, and in the log."""

from __future__ import annotations

import logging

_shown: set[str] = set()  # nodes that show a warning


def tell(node: str, text: str) -> None:
    """Show a text on a node. The frontend keeps it until another one comes."""
    from server import PromptServer

    server = PromptServer.instance
    server.send_progress_text(text, node, server.client_id)


def warn_on(node: str, warning: str | None) -> None:
    """Show a warning on a node and log it; None takes an earlier one back."""
    if warning is not None:
        logging.warning("FVG, node %s: %s", node, warning)
        _shown.add(node)
    elif node not in _shown:
        return
    else:
        _shown.remove(node)
    tell(node, warning or "No warning any more.")
