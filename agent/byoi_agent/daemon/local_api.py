"""The owner's own /v1 as a part of the node: where it is, who may ask, and what was used of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from byoi_agent.errors import ConfigError
from byoi_agent.node.view import OwnApi
from byoi_agent.serving.local import LocalServer
from byoi_agent.serving.local_place import listen, read_key
from byoi_agent.serving.own_use import OwnEnergy, OwnUse

if TYPE_CHECKING:
    import socket

    from byoi_agent.config.settings import Settings
    from byoi_agent.node.board import Board
    from byoi_agent.serving.dispatcher import Dispatcher
    from byoi_agent.serving.neighbours import Surroundings
    from byoi_agent.serving.own_use import OwnUseView, Sampler
    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

_WARNING = "local-api-closed"


class LocalApi:
    """Sole owner of the local listeners. What keeps it from opening is a warning, never an end.

    `around` is what guests' requests share: of it the owner's own have engines and clock.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        dispatcher: Dispatcher,
        board: Board,
        health: Health,
        around: Surroundings,
        energy: Sampler,
    ) -> None:
        self._settings = settings
        self._board = board
        self._health = health
        self._use = OwnUse(self._used)
        own = replace(
            around,
            outbox=self._use,
            energy=OwnEnergy(energy),
            salt_secret=hmac.digest(around.salt_secret, b"byoi-own-v1", hashlib.sha256),
            is_own=True,
        )
        self._server = LocalServer(dispatcher, board, own, key=None)
        self._listeners: list[socket.socket] = []

    @property
    def url(self) -> str | None:
        """What programs are to be told as their base URL; None where it is not open."""
        return self._board.view.own.url

    def listen(self) -> None:
        """Open it, unless its owner wants none; from now on who connects is served or waits."""
        if self._settings.local_api == "off" or self._listeners:
            return
        try:
            self._server.key = read_key(self._settings.local_key_file)
            self._listeners = listen(self._settings.local_port)
        except ConfigError as error:
            self._closed(str(error))
            return
        url = f"http://127.0.0.1:{self._listeners[0].getsockname()[1]}/v1"
        needs_key = self._server.key is not None
        self._board.update(own=replace(self._board.view.own, url=url, needs_key=needs_key))
        logger.info("local api open", extra={"url": url})

    async def run(self) -> None:
        """Until cancelled."""
        try:
            if self._listeners:
                await self._server.run(self._listeners)
            await asyncio.get_running_loop().create_future()  # there is nothing to serve
        finally:
            for listener in self._listeners:
                listener.close()

    def take(self, settings: Settings) -> None:
        """Other settings hold: another key is asked for from now on."""
        self._settings = settings
        if not self._listeners:
            return
        try:
            self._server.key = read_key(settings.local_key_file)
        except ConfigError as error:
            self._closed(f"{error}; the key before holds on")
            return
        self._health.clear(_WARNING)
        needs_key = self._server.key is not None
        self._board.update(own=replace(self._board.view.own, needs_key=needs_key))

    def _used(self, use: OwnUseView) -> None:
        before = self._board.view.own
        self._board.update(own=OwnApi(before.url, before.needs_key, *use))

    def _closed(self, reason: str) -> None:
        self._health.warn(
            _WARNING,
            f"the owner's own /v1 is not as the settings want it: {reason}",
            "mend it or choose another local_port, then restart the node",
        )
