"""How engines look to others: one that is not always loaded, and all of a node as one; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.budget import ALL
from byoi_agent.engine.residency.resident import (
    Asleep,
    Failed,
    Leaving,
    Loaded,
    Loading,
    Out,
    Unfit,
)
from byoi_agent.engine.view import EngineView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.residency.resident import Resident
    from byoi_agent.engine.view import EngineState, ServedModel


_WORDS: Final[Mapping[type[object], EngineState]] = {
    Asleep: "asleep",
    Leaving: "draining",
    Loading: "starting",
    Out: "stopped",
}


def face_of(
    entry: Entry,
    view: EngineView,
    resident: Resident | None,
    *,
    load_seconds: float | None,
    is_wanted: bool = True,
) -> EngineView:
    """An engine whose memory is shared out, with what can be asked of it though it is not loaded.

    `is_wanted` is false of one that the settings have no more; `view` is what it says of itself.
    """
    state, reason = _state_of(view, resident)
    serves = state == "ready"
    models = view.models if serves else entry.kind.offers
    can_be_asked = is_wanted and not _is_refused(state, resident)
    known = tuple(
        replace(model, is_loaded=serves, load_seconds=load_seconds, slots=entry.kind.slots)
        for model in models
    )
    return replace(
        view,
        key=entry.key,
        kind=entry.kind.name,
        version=entry.kind.version,
        priority=entry.priority,
        state=state,
        reason=reason,
        models=known if serves or can_be_asked else (),
        slots=view.slots if serves else 0,
        memory_bytes=None if resident is None else resident.model.loaded[ALL],
    )


def face_of_standing(
    entry: Entry,
    view: EngineView,
    *,
    is_wanted: bool,
    follows: bool,
    sleeps: bool = False,
    known: Sequence[ServedModel] = (),
) -> EngineView:
    """An engine that nobody loads or unloads.

    One that the settings have no more takes nothing new, or it would never come to its end. One
    that `follows`, another one or its owner, can be asked until it starts itself; `known` is what
    it served the last time. One that `sleeps` by its owner's word is asleep too where it has taken
    another's place and was never started.
    """
    if not is_wanted:
        return replace(view, state="draining", reason=_GIVES_WAY_FOR_GOOD, models=(), slots=0)
    if sleeps:
        state = "asleep" if view.state == "stopped" else view.state
        return replace(view, state=state, models=(), slots=0)
    offers = entry.kind.offers or known
    if not follows:
        return view
    coming = (replace(model, is_loaded=False, slots=entry.kind.slots) for model in offers)
    return replace(view, models=tuple(coming), slots=0)


def as_one(views: Sequence[EngineView]) -> EngineView:
    """All of them: ready as soon as anything can be asked, with each model once."""
    if len(views) == 1 and not any(not model.is_loaded for model in views[0].models):
        return views[0]
    models: dict[str, ServedModel] = {}
    for view in sorted(views, key=lambda view: view.state != "ready"):
        for model in view.models:
            models.setdefault(model.id, model)
    order = [model.id for view in views for model in view.models]
    kinds, versions = {view.kind for view in views}, {view.version for view in views}
    return EngineView(
        state="ready" if models else _state_of_none(views),
        kind=views[0].kind if len(kinds) == 1 else "several",
        version=views[0].version if len(kinds) == len(versions) == 1 else None,
        models=tuple(models[name] for name in dict.fromkeys(order)),
        slots=sum(view.slots for view in views),
        reason=None if models else next((view.reason for view in views if view.reason), None),
        restarts=sum(view.restarts for view in views),
        faults=tuple(fault for view in views for fault in view.faults),
    )


_GIVES_WAY_FOR_GOOD: Final = "it goes once its requests have ended"
_LESS_OR_MORE: Final = "give it less (context_tokens, slots), or more (memory_budget_gib, gpus)"
_GIVES_WAY: Final = "it gives way to another model once its requests have ended"


def _state_of(view: EngineView, resident: Resident | None) -> tuple[EngineState, str | None]:
    place = None if resident is None else resident.place
    if isinstance(place, Loaded):
        return ("draining", _GIVES_WAY) if place.closes else (view.state, view.reason)
    match place:
        case Leaving(failure=str(reason)) | Failed(reason, until=float()):
            return "backing_off", reason
        case Failed(reason) if resident is not None:
            return (
                "failed",
                f"{reason}; once that is mended: byoi engines wake {resident.model.key}",
            )
        case Unfit(reason):
            return "failed", f"{reason}; {_LESS_OR_MORE}"
        case Out() if resident is not None and resident.is_held:
            return "asleep", None
        case _:
            return _WORDS.get(type(place), "stopped"), None


def _is_refused(state: EngineState, resident: Resident | None) -> bool:
    """Whether nobody may wait for it."""
    is_held = resident is not None and resident.is_held
    return is_held or state in {"failed", "backing_off", "suspect"}


def _state_of_none(views: Sequence[EngineView]) -> EngineState:
    """Of several, none of which can be asked for anything: what most needs to be known."""
    order: tuple[EngineState, ...] = ("starting", "suspect", "draining", "backing_off", "failed")
    states = [view.state for view in views]
    return next((state for state in order if state in states), states[0] if states else "stopped")
