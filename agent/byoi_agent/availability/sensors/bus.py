"""A connection to a D-Bus daemon that belongs to one sensor; the only importer of dbus-fast.

One for each sensor: a service that never answers costs its own connection and nobody else's.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALL_SECONDS: Final = 2.0
"""How long a service may take to answer; they are all on this machine."""

_CLOSE_SECONDS: Final = 1.0
_SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_DAEMON: Final = "org.freedesktop.DBus"
_MOST_PROPERTIES: Final = 200
_UNCONNECTED: Final = (OSError, EOFError, AuthError, InvalidAddressError, ValueError, TypeError)


class BusTrouble(Exception):
    """The bus or a service on it cannot be asked; the message says which and why."""


class Place(NamedTuple):
    """An object on the bus, seen through one of its interfaces."""

    service: str
    path: str
    interface: str


class Bus:
    """Sole owner of one connection; it is made when first needed and again after it was lost.

    Nothing is ever started on the bus by asking. `rules` are match rules; `heard` is told of the
    signals that pass them, and of nothing else.
    """

    def __init__(
        self,
        address: str | None,
        rules: tuple[str, ...] = (),
        heard: Callable[[str, list[object]], None] | None = None,
    ) -> None:
        self._address = address
        self._rules = rules
        self._heard = heard
        self._bus: MessageBus | None = None

    @property
    def is_connected(self) -> bool:
        """Whether what was asked of the daemon before still holds."""
        return self._bus is not None and self._bus.connected

    async def call(
        self, place: Place, member: str, signature: str = "", *body: object
    ) -> list[object]:
        """What a method answers.

        Raises:
            BusTrouble: there is no bus, no such service, or no answer in time.
        """
        bus = await self._connected()
        return await self._ask(bus, place, member, signature, *body)

    async def properties(self, place: Place) -> dict[str, object]:
        """All that an object tells of itself through the interface; raises as `call`."""
        everything = place._replace(interface=_PROPERTIES)
        answer = await self.call(everything, "GetAll", "s", place.interface)
        told = answer[0] if answer else None
        if not isinstance(told, dict) or len(told) > _MOST_PROPERTIES:
            raise BusTrouble(f"{place.service} does not answer as it should")
        return {str(name): _bare(value) for name, value in told.items()}

    async def close(self) -> None:
        """Give the connection back."""
        bus, self._bus = self._bus, None
        if bus is None:
            return
        with suppress(*_UNCONNECTED, TimeoutError):
            bus.disconnect()
            async with asyncio.timeout(_CLOSE_SECONDS):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _connected(self) -> MessageBus:
        # One turn of the loop to see an end that has come, one for dbus-fast to act on it: a
        # question into a connection that has ended leaves an exception that nobody can fetch.
        for _ in range(2):
            await asyncio.sleep(0)
        if self._bus is not None and self._bus.connected:
            return self._bus
        await self.close()
        if self._address is None:
            raise BusTrouble("this process was given no message bus")
        try:
            async with asyncio.timeout(CALL_SECONDS):
                bus = await MessageBus(self._address, BusType.SESSION).connect()
        except TimeoutError as error:
            raise BusTrouble("the message bus does not answer") from error
        except (*_UNCONNECTED, DBusError) as error:
            raise BusTrouble(f"no message bus: {error}") from error
        self._bus = bus
        bus.add_message_handler(self._signalled)
        for rule in self._rules:
            daemon = Place(_DAEMON, "/org/freedesktop/DBus", _DAEMON)
            await self._ask(bus, daemon, "AddMatch", "s", rule)
        return bus

    async def _ask(
        self, bus: MessageBus, place: Place, member: str, signature: str, *body: object
    ) -> list[object]:
        question = Message(
            destination=place.service,
            path=place.path,
            interface=place.interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_AUTOSTART,
        )
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await bus.call(question)
        except TimeoutError as error:
            # What is still awaited would be kept for ever, once for each question.
            await self.close()
            raise BusTrouble(f"{place.service} does not answer") from error
        except (*_UNCONNECTED, DBusError) as error:
            await self.close()
            raise BusTrouble(f"the message bus has gone: {error}") from error
        if answer.message_type is MessageType.ERROR:
            raise BusTrouble(f"{place.service}: {answer.error_name}")
        return list(answer.body)

    def _signalled(self, message: Message) -> None:
        if self._heard is not None and message.message_type is MessageType.SIGNAL:
            if message.member in {"NameAcquired", "NameLost"}:
                return  # the daemon's greeting, of no rule
            self._heard(str(message.member), [_bare(part) for part in message.body])


def system_bus(environment: Mapping[str, str]) -> str:
    """Where the system's services are."""
    return environment.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS


def session_bus(environment: Mapping[str, str]) -> str | None:
    """Where the services of a person's session are; None outside of one."""
    if address := environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    # Where a login manager gives each user a folder, but no desktop uses it, there is no bus.
    bus = Path(environment.get("XDG_RUNTIME_DIR") or "/nowhere", "bus")
    return f"unix:path={bus}" if bus.exists() else None


def _bare(value: object) -> object:
    return value.value if isinstance(value, Variant) else value
