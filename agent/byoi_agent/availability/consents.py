"""Which organisation the owner lets have the node for itself: asks, answers, withdrawals; pure.

A console may only ask and stop asking. What holds follows from the owner's own words alone: those
said here, and the setting `dedicated_to`. Times are Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_wire.ids import OrgId, PinId

ASKED_LIMIT: Final = 8
OVER_LIMIT: Final = 8
"""Of those that are over so many are kept: the console hears of them when it is back."""

BY_SETTING: Final = "the setting dedicated_to"

PinState = Literal["asked", "granted", "refused", "withdrawn"]


@dataclass(frozen=True)
class Pin:
    """One wish of one organisation; `actor` is who gave the answer that it has, and `at_ms` when.

    `reason` and `asked_by` are the asker's words, which prove nothing.
    """

    pin_id: PinId
    org_id: OrgId
    organisation: str
    reason: str
    asked_by: str
    asked_at_ms: int
    state: PinState = "asked"
    actor: str = ""
    at_ms: int = 0


@dataclass(frozen=True)
class Consents:
    """All that is known, the oldest first.

    `overruled` is the setting that the owner's own word went against: it grants nothing any more
    until it is changed.
    """

    pins: tuple[Pin, ...] = ()
    overruled: str | None = None

    @property
    def granted(self) -> Pin | None:
        """The one that holds."""
        return next((pin for pin in self.pins if pin.state == "granted"), None)

    def of(self, pin_id: str) -> Pin | None:
        """The one of that name."""
        return next((pin for pin in self.pins if pin.pin_id == pin_id), None)


def ask(consents: Consents, wish: Pin, setting: str | None, now_ms: int) -> Consents:
    """A console asks; what was said of the same pin before stays, in the words of that time."""
    if consents.of(wish.pin_id) is not None:
        return consents
    others = tuple(
        pin for pin in consents.pins if pin.state != "asked" or pin.org_id != wish.org_id
    )
    return _by_setting(_bounded(replace(consents, pins=(*others, wish))), setting, now_ms)


def stop_asking(consents: Consents, pin_id: str) -> Consents:
    """The organisation wants it no more: a granted one ends with that."""
    return replace(consents, pins=tuple(pin for pin in consents.pins if pin.pin_id != pin_id))


def consent(consents: Consents, pin_id: str, actor: str, now_ms: int) -> Consents:
    """The owner says yes.

    Raises:
        ConfigError: nobody asks under that name (any more), or another organisation has the node.
    """
    pin = _known(consents, pin_id)
    if pin.state == "granted":
        return consents
    if pin.state != "asked":
        raise ConfigError(f"that pin is {pin.state}; {pin.organisation} has to ask again")
    if (other := consents.granted) is not None:
        raise ConfigError(
            f"the node is dedicated to {other.organisation}; first: byoi pins withdraw"
        )
    return _answered(consents, pin, "granted", actor, now_ms)


def refuse(
    consents: Consents, pin_id: str, actor: str, setting: str | None, now_ms: int
) -> Consents:
    """The owner says no, or takes back a yes; at once, whatever else holds.

    Raises:
        ConfigError: nobody asks under that name (any more).
    """
    pin = _known(consents, pin_id)
    if pin.state in {"refused", "withdrawn"}:
        return consents
    state: PinState = "withdrawn" if pin.state == "granted" else "refused"
    answered = _answered(consents, pin, state, actor, now_ms)
    return replace(answered, overruled=setting) if _is_meant(setting, pin) else answered


def take(consents: Consents, setting: str | None, now_ms: int) -> Consents:
    """The setting is this now: what only it granted goes with it."""
    if setting != consents.overruled:
        consents = replace(consents, overruled=None)
    held = consents.granted
    if held is not None and held.actor == BY_SETTING and not _is_meant(setting, held):
        consents = _answered(consents, held, "withdrawn", BY_SETTING, now_ms)
    return _by_setting(consents, setting, now_ms)


def _by_setting(consents: Consents, setting: str | None, now_ms: int) -> Consents:
    if consents.granted is not None or (setting is not None and setting == consents.overruled):
        return consents
    meant = (pin for pin in consents.pins if pin.state == "asked" and _is_meant(setting, pin))
    pin = next(meant, None)
    return consents if pin is None else _answered(consents, pin, "granted", BY_SETTING, now_ms)


def _is_meant(setting: str | None, pin: Pin) -> bool:
    return setting is not None and setting in {pin.org_id, pin.organisation}


def _known(consents: Consents, pin_id: str) -> Pin:
    if (pin := consents.of(pin_id)) is None:
        raise ConfigError(f"there is no pin {pin_id!r}; see: byoi pins")
    return pin


def _answered(consents: Consents, pin: Pin, state: PinState, actor: str, now_ms: int) -> Consents:
    told = replace(pin, state=state, actor=actor, at_ms=now_ms)
    pins = tuple(told if each.pin_id == pin.pin_id else each for each in consents.pins)
    return _bounded(replace(consents, pins=pins))


def _bounded(consents: Consents) -> Consents:
    """The newest of those that are asked, of those that are over, and the one that holds."""
    asked = [pin for pin in consents.pins if pin.state == "asked"]
    over = [pin for pin in consents.pins if pin.state in {"refused", "withdrawn"}]
    gone = {pin.pin_id for pin in (*asked[:-ASKED_LIMIT], *over[:-OVER_LIMIT])}
    return replace(consents, pins=tuple(pin for pin in consents.pins if pin.pin_id not in gone))
