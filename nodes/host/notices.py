"""What a node has to say without failing: in the log, and on the node itself."""

from __future__ import annotations

import logging

_shown: set[str] = set()  # nodes that show a warning


def warn_on(node: str, warning: str | None) -> None:
    """Show a warning on a node and log it; None takes an earlier one back.

    The frontend keeps a node's text until another one comes, so it is replaced.
    """
    from server import PromptServer

    if warning is not None:
        logging.warning("FVG, node %s: %s", node, warning)
        _shown.add(node)
    elif node not in _shown:
        return
    else:
        _shown.remove(node)
    server = PromptServer.instance
    server.send_progress_text(warning or "No warning any more.", node, server.client_id)
