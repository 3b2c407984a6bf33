"""Keeps the owner's consents on the disk, has them hold, and tells the console of each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from byoi_agent.availability import consents as policy
from byoi_agent.availability.consents import Consents, Pin, PinState
from byoi_agent.availability.forecast import LATEST
from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import AgentError, ConfigError
from byoi_wire.ids import OrgId, PinId
from byoi_wire.messages import PinAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.telemetry.health import Health
    from byoi_wire.messages import ControlMessage, PinAsk, PinEnd

logger = logging.getLogger(__name__)

NOT_KEPT: Final = "pins-not-kept"
ASKS_PER_LINK: Final = 30
"""A console that asks more often is not listened to until the next link: each is written down."""

_TEXT_LIMIT: Final = 500


class _KeptPin(BaseModel):
    # A newer version may have written more than this one knows.
    model_config = ConfigDict(frozen=True, extra="ignore")

    pin_id: PinId
    org_id: OrgId
    organisation: str
    reason: str
    asked_by: str
    asked_at_ms: int
    state: PinState
    actor: str
    at_ms: int

    @field_validator("asked_at_ms", "at_ms")
    @classmethod
    def _shown(cls, value: int) -> int:
        return _showable(value)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    pins: tuple[_KeptPin, ...] = Field(default=(), max_length=100)
    overruled: str | None = None
    enrolment: str = ""


class PinsNotKept(AgentError):
    """The disk does not take the owner's word, so that nothing has come of it."""


class PinKeeper:
    """Sole owner of the consents. `dedicate` hears whom the node is for, None: for everybody.

    A yes holds once it is on the disk. A no holds at once, whatever the disk says. `send` is False
    while there is no link: the console hears of every pin at each. `enrolment` names console and
    node: what was said to another console, or before this enrolment, holds no more.
    """

    def __init__(
        self,
        file: Path,
        *,
        setting: str | None,
        enrolment: str,
        send: Callable[[ControlMessage], bool],
        dedicate: Callable[[Pin | None], None],
        health: Health,
        wall: Callable[[], float],
    ) -> None:
        self._file = file
        self._setting = setting
        self._enrolment = enrolment
        self._send = send
        self._dedicate = dedicate
        self._health = health
        self._wall = wall
        self._asks_left = ASKS_PER_LINK
        self._consents = self._read()
        self._effect(None)
        self.take(setting)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """All that are known, the oldest first."""
        return self._consents.pins

    # What the link tells

    def link_online(self) -> None:
        """The console hears of all that was decided without it."""
        self._asks_left = ASKS_PER_LINK
        for pin in self._consents.pins:
            self._answer(pin)

    def heard(self, message: PinAsk | PinEnd) -> None:
        """A console asks for the node, or does so no more."""
        if message.type == "pin.end":
            self._become(policy.stop_asking(self._consents, message.pin_id))
            return
        if self._asks_left <= 0:
            return
        self._asks_left -= 1
        before = self._consents
        self._become(policy.ask(before, _wish(message), self._setting, self._now_ms()))
        pin = self._consents.of(message.pin_id)
        if pin is not None and self._consents is before:
            self._answer(pin)  # nothing new: it may have missed the answer

    # What the owner says

    def consent(self, pin_id: str, actor: str) -> None:
        """Yes.

        Raises:
            ConfigError: there is no such pin, or another organisation has the node.
            PinsNotKept: the disk does not take it, so that it does not hold.
        """
        after = policy.consent(self._consents, pin_id, actor, self._now_ms())
        if not self._is_kept(after):
            raise PinsNotKept(f"{self._file} cannot be written, so the yes does not hold")
        self._become(after, is_kept=True)

    def refuse(self, pin_id: str, actor: str) -> None:
        """No, or no more; it holds at once. Raises ConfigError: there is no such pin."""
        now_ms = self._now_ms()
        self._become(policy.refuse(self._consents, pin_id, actor, self._setting, now_ms))

    def take(self, setting: str | None) -> None:
        """`dedicated_to` is this now."""
        self._setting = setting
        self._become(policy.take(self._consents, setting, self._now_ms()))

    # Inside

    def _become(self, after: Consents, *, is_kept: bool = False) -> None:
        before, self._consents = self._consents, after
        if after == before:
            return
        if not is_kept:
            self._is_kept(after)
        self._effect(before.granted)
        for pin in after.pins:
            if pin != before.of(pin.pin_id):
                self._tell(pin)

    def _effect(self, before: Pin | None) -> None:
        now = self._consents.granted
        if (None if before is None else before.pin_id) != (None if now is None else now.pin_id):
            self._dedicate(now)

    def _tell(self, pin: Pin) -> None:
        logger.info(
            "pin",
            extra={
                "state": pin.state,
                "organisation": pin.organisation,
                "actor": pin.actor or pin.asked_by,
            },
        )
        self._answer(pin)

    def _answer(self, pin: Pin) -> None:
        at_ms = pin.at_ms or pin.asked_at_ms
        told = PinAnswer(pin_id=pin.pin_id, state=pin.state, actor=pin.actor, at_ms=at_ms)
        self._send(told)

    def _is_kept(self, consents: Consents) -> bool:
        try:
            write_private(self._file, _written(consents, self._enrolment))
        except OSError as error:
            self._health.warn(
                NOT_KEPT,
                f"what you say of pins holds until the node ends; {self._file} cannot be "
                f"written: {error.strerror}",
                "make room there, and say it again: byoi pins",
            )
            return False
        self._health.clear(NOT_KEPT)
        return True

    def _read(self) -> Consents:
        """What cannot be understood is no consent."""
        try:
            kept = _Kept.model_validate_json(read_private(self._file))
        except FileNotFoundError:
            return Consents()
        except (ValidationError, ConfigError, OSError) as error:
            logger.warning("pins cannot be read", extra={"reason": str(error)[:200]})
            return Consents()
        if kept.enrolment != self._enrolment:
            return Consents(overruled=kept.overruled)
        return Consents(tuple(Pin(**vars(pin)) for pin in kept.pins), kept.overruled)

    def _now_ms(self) -> int:
        return round(self._wall() * 1000)


def _written(consents: Consents, enrolment: str) -> bytes:
    pins = tuple(_KeptPin(**vars(pin)) for pin in consents.pins)
    kept = _Kept(pins=pins, overruled=consents.overruled, enrolment=enrolment)
    return kept.model_dump_json(indent=1).encode()


def _wish(ask: PinAsk) -> Pin:
    """In words that a terminal and a page can show."""
    return Pin(
        pin_id=ask.pin_id,
        org_id=ask.org_id,
        organisation=_readable(ask.organisation) or ask.org_id,
        reason=_readable(ask.reason),
        asked_by=_readable(ask.asked_by),
        asked_at_ms=_showable(ask.asked_at_ms),
    )


def _showable(unix_ms: int) -> int:
    """Within what the clocks of all systems can show: a console may say any number."""
    return min(max(unix_ms, 0), round(LATEST * 1000))


def _readable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:_TEXT_LIMIT]
