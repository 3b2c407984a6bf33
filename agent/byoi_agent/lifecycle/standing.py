"""Where the node stands, in one line for people; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from byoi_agent.node.view import NodeView


def standing(view: NodeView) -> str:
    """What it does, or what it waits for."""
    running = view.load.running + view.load.waiting
    if view.is_draining:
        return f"stops: {_requests(running)} to end first"
    if not view.availability.is_serving:
        rest = f"; {_requests(running)} to end first" if running else ""
        return f"does not serve: {view.availability.reason}{rest}"
    if view.is_serving:
        models = ", ".join(model.id for model in view.engine.models) if view.engine else ""
        return f"serves {models}; {_requests(running)} in flight"
    if view.link.state != "online":
        return _because("waits for the console", view.link.reason)
    if view.engine is None:
        return "waits for its engine"
    return _because(f"waits for its engine ({view.engine.state})", view.engine.reason)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _because(what: str, reason: str | None) -> str:
    return f"{what}: {reason}" if reason else what
