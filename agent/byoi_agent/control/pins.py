"""Who wants the node for itself, in the words of the control API; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.availability.consents import Pin


class PinStatus(BaseModel):
    """One wish; `actor` is who answered it, and `at_ms` (Unix) when.

    `organisation`, `reason` and `asked_by` are as the console tells them.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    org_id: str
    organisation: str
    reason: str
    asked_by: str
    asked_at_ms: int
    state: Literal["asked", "granted", "refused", "withdrawn"]
    actor: str
    at_ms: int


class PinList(BaseModel):
    """All that are known, the oldest first."""

    model_config = ConfigDict(frozen=True)

    pins: tuple[PinStatus, ...]


def pins_of(known: Iterable[Pin]) -> PinList:
    """As the node keeps them."""
    return PinList(pins=tuple(map(_status, known)))


def _status(pin: Pin) -> PinStatus:
    return PinStatus(
        id=pin.pin_id,
        org_id=pin.org_id,
        organisation=pin.organisation,
        reason=pin.reason,
        asked_by=pin.asked_by,
        asked_at_ms=pin.asked_at_ms,
        state=pin.state,
        actor=pin.actor,
        at_ms=pin.at_ms,
    )
