"""What each engine may be asked for now, loaded or not, and how many requests it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.serving.admission import Room

if TYPE_CHECKING:
    from byoi_agent.engine.view import EngineView, ServedModel


def askable(view: EngineView) -> tuple[ServedModel, ...]:
    """Models that a request may be let in for: it runs, or it waits until they are loaded.

    An engine that goes for good still shows what it had; nobody may wait for that.
    """
    if view.state == "ready":
        return view.models
    return tuple(model for model in view.models if not model.is_loaded)


def room_of(view: EngineView, queue: int) -> Room:
    """Slots of an engine that serves; for one to be loaded, as many may wait as it will take."""
    if view.state == "ready":
        return Room(view.slots, queue, view.own_seats)
    coming = [model.slots or 0 for model in askable(view)]
    return Room(0, queue + max(coming)) if coming else Room()
