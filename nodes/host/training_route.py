"""Where a page that is loaded later asks for a training run."""

from __future__ import annotations


def register_routes() -> None:
    """Let it ask by the run's name."""
    import server

    @server.PromptServer.instance.routes.get("/fvg/training")
    async def kept(request):
        from .training_monitor import kept_state

        return server.web.json_response(kept_state(request.query.get("name", "")))
