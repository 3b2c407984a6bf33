"""A Wayland compositor that tells of idle time by ext-idle-notify-v1: KDE, Sway, Hyprland.

It is told once a second without input has passed, and at the first input after that. Where a film
keeps the screen awake, it does not count as idle.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.wayland_wire import (
    Message,
    NoMessage,
    named,
    request,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONNECT_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 1.0
_MOST_WAITING_BYTES: Final = 1 << 20
_MOST_GLOBALS: Final = 1000

# Objects: the first is the display, the others are numbered by the client.
_DISPLAY, _REGISTRY, _SYNC, _SEAT, _NOTIFIER, _NOTIFICATION = range(1, 7)
_GET_SYNC, _GET_REGISTRY, _BIND, _GET_NOTIFICATION = 0, 1, 0, 1


class Event:
    """Object and number of the events that matter."""

    ERROR: Final = (_DISPLAY, 0)
    GLOBAL: Final = (_REGISTRY, 0)
    DONE: Final = (_SYNC, 0)
    IDLED: Final = (_NOTIFICATION, 0)
    RESUMED: Final = (_NOTIFICATION, 1)


class _Client(asyncio.Protocol):
    """Sole owner of one connection: what the compositor offers, and since when nothing came."""

    def __init__(self, now: Callable[[], float], resumed: Callable[[], None]) -> None:
        self.told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.idle_since: float | None = None
        self.transport: asyncio.Transport | None = None
        self._now = now
        self._resumed = resumed
        self._received = bytearray()
        self._globals: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask what there is."""
        # No isinstance: uvloop's transports are none of asyncio's own.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            request(_DISPLAY, _GET_REGISTRY, _REGISTRY) + request(_DISPLAY, _GET_SYNC, _SYNC)
        )

    def data_received(self, data: bytes) -> None:
        """Take what it tells; nonsense ends the connection."""
        self._received += data
        try:
            for message in taken(self._received):
                self._take(message)
        except NoMessage:
            self._end()
        if len(self._received) > _MOST_WAITING_BYTES:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        del exc
        if not self.told.done():
            self.told.set_result(False)
        if not self.ended.done():
            self.ended.set_result(None)

    def _take(self, message: Message) -> None:
        match message[:2]:
            case Event.ERROR:
                raise NoMessage("the compositor ends the connection")
            case Event.GLOBAL:
                name, interface = named(message.values)
                if len(self._globals) < _MOST_GLOBALS:
                    self._globals.setdefault(interface, name)
            case Event.DONE:
                self._offered()
            case Event.IDLED:
                self.idle_since = self._now() - _IDLE_SECONDS
            case Event.RESUMED:
                self.idle_since = None
                self._resumed()
            case _:
                pass  # a seat's name and what else nobody asked for

    def _offered(self) -> None:
        seat, notifier = (self._globals.get(name) for name in ("wl_seat", "ext_idle_notifier_v1"))
        self._globals.clear()
        if seat is None or notifier is None or self.transport is None:
            self._tell(is_offered=False)
            return
        milliseconds = round(_IDLE_SECONDS * 1000)
        self.transport.write(
            request(_REGISTRY, _BIND, seat, "wl_seat", 1, _SEAT)
            + request(_REGISTRY, _BIND, notifier, "ext_idle_notifier_v1", 1, _NOTIFIER)
            + request(_NOTIFIER, _GET_NOTIFICATION, _NOTIFICATION, milliseconds, _SEAT)
        )
        self._tell(is_offered=True)

    def _tell(self, *, is_offered: bool) -> None:
        if not self.told.done():
            self.told.set_result(is_offered)

    def _end(self) -> None:
        self._tell(is_offered=False)
        if self.transport is not None:
            self.transport.abort()


class WaylandSensor:
    """Sole owner of the connection to one compositor; made when needed and again if lost."""

    name = "wayland"
    every_seconds = 1.0

    def __init__(self, socket: Path, user: str, now: Callable[[], float] = time.monotonic) -> None:
        self.trouble: str | None = None
        self._socket = socket
        self._user = user
        self._now = now
        self._tell: Callable[[], None] = lambda: None
        self._client: _Client | None = None

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell of the first input."""
        self._tell = tell

    async def read(self) -> tuple[SessionReading, ...] | None:
        """This session; None where the compositor does not tell."""
        client = self._client
        if client is None or client.ended.done():
            client = await self._connected()
        if client is None:
            return None
        self.trouble = None
        idle = 0.0 if client.idle_since is None else max(0.0, self._now() - client.idle_since)
        return (SessionReading(self._user, idle, sources=(self.name,)),)

    async def close(self) -> None:
        """Leave the compositor."""
        client, self._client = self._client, None
        if client is not None and client.transport is not None:
            client.transport.abort()
            await client.ended

    def _resumed(self) -> None:
        self._tell()

    async def _connected(self) -> _Client | None:
        await self.close()
        client = _Client(self._now, self._resumed)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await loop.create_unix_connection(lambda: client, str(self._socket))
                self._client = client
                if await client.told:
                    return client
                self.trouble = "the compositor has no ext_idle_notifier_v1"
        except TimeoutError:
            self.trouble = "the compositor does not answer"
        except OSError as error:
            self.trouble = f"no compositor: {error.strerror}"
        with suppress(OSError):
            await self.close()
        return None


def compositor(environment: Mapping[str, str]) -> Path | None:
    """Where the session's compositor listens; None if it has none."""
    name, folder = environment.get("WAYLAND_DISPLAY"), environment.get("XDG_RUNTIME_DIR")
    if not name or (not folder and not name.startswith("/")):
        return None
    return Path(folder or "/", name)
