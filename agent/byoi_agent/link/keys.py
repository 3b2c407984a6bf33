"""The node's key while it serves: who signs, and how the key changes without a gap."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from byoi_agent.errors import IdentityError, LinkError
from byoi_wire.usage import sign

if TYPE_CHECKING:
    from byoi_agent.identity.keys import Identity
    from byoi_agent.identity.rotation import KeyRotation
    from byoi_agent.telemetry.health import Health
    from byoi_wire.usage import SignedRecord, UsageRecord

logger = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 20.0
"""How long an owner waits for the link to come up with the new key; it goes on without them."""

RETRY_SECONDS: Final = 60.0

_NOT_DONE: Final = "key-rotation"
_IN_FILE: Final = "key-in-file"


class Rotated(NamedTuple):
    """How far a rotation came; `is_in_use` once the console has welcomed the new key."""

    identity: Identity
    is_in_use: bool


class Reconnect(Protocol):
    """What is needed of the link."""

    def succeed(self, successor: Identity) -> None:
        """Come back at once under the node's next key."""


class NodeKeys:
    """Sole owner of the node's present identity in this process, and of changing it.

    The link says which key the console welcomed or refused; `run` carries out what the console
    orders, and finishes what a crash or a full disk left undone.
    """

    def __init__(self, identity: Identity, rotation: KeyRotation, health: Health) -> None:
        self._identity = identity
        self._rotation = rotation
        self._health = health
        self._link: Reconnect | None = None
        self._changing = asyncio.Lock()
        self._decided = asyncio.Event()
        self._news = asyncio.Event()
        self._to_settle: Identity | None = None
        self._to_drop: Identity | None = None
        self._is_ordered = False
        self._tell_place()

    @property
    def identity(self) -> Identity:
        """Whom the console knows this node as now."""
        return self._identity

    def sign(self, record: UsageRecord) -> SignedRecord:
        """Seal a record with the present key; what an older one has sealed stays as it is."""
        identity = self._identity
        return sign(record, key_id=identity.key_id, key=identity.key)

    def connect_with(self, link: Reconnect) -> None:
        """This link is to come back when the key changes."""
        self._link = link

    async def rotate(self) -> Rotated:
        """Change the key: a new one, signed by the present one, and the link comes back with it.

        Raises:
            IdentityError: the console refused, or no store takes a key; all stays as it was.
            LinkError: the console cannot be reached now; the next try goes on from there.
        """
        async with self._changing:
            successor = await self._rotation.prepare(self._identity)
            self._decided.clear()
            assert self._link is not None
            self._link.succeed(successor)
            with suppress(TimeoutError):
                async with asyncio.timeout(SWITCH_SECONDS):
                    await self._decided.wait()
            is_refused = self._to_drop is successor
            await self._finish()
        if is_refused:
            raise IdentityError(
                "the console took the new key and then did not know it, so the node goes on with "
                "the present one; try again: byoi keys rotate"
            )
        return Rotated(successor, is_in_use=self._identity is successor)

    # What the link tells.

    def proven(self, identity: Identity) -> None:
        """The console has welcomed the node under this one; from now on it signs."""
        if identity is self._identity:
            return
        logger.info("key changed", extra={"key": identity.key_id, "store": identity.key_store})
        self._identity = identity
        self._to_settle = identity
        self._tell_place()
        self._decided.set()
        self._news.set()

    def refused(self, identity: Identity) -> None:
        """The console does not know this successor: it is forgotten."""
        logger.warning("new key refused", extra={"key": identity.key_id})
        self._to_drop = identity
        self._decided.set()
        self._news.set()

    def rotation_ordered(self, reason: str) -> None:
        """The console wants another key; `run` sees to it."""
        logger.info("key rotation ordered", extra={"reason": reason})
        self._is_ordered = True
        self._news.set()

    # What is left to do.

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._begin()
            while True:
                is_open = self._is_ordered or self._to_settle is not None
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_SECONDS if is_open else None):
                        await self._news.wait()
                self._news.clear()
                async with self._changing:
                    await self._finish()
                if self._is_ordered:
                    await self._obey()
        finally:
            self._rotation.close()

    async def _begin(self) -> None:
        try:
            if await self._rotation.begin(self._identity):
                self.rotation_ordered("an earlier rotation was cut short")
        except IdentityError as error:
            self._warn(f"the record of the node's keys cannot be used: {error}", "see byoi keys")

    async def _obey(self) -> None:
        try:
            await self.rotate()
        except LinkError as error:
            self._warn(f"the node's key could not be changed yet: {error}", "it is tried again")
        except IdentityError as error:
            self._is_ordered = False
            self._warn(f"the node's key could not be changed: {error}", "run: byoi keys rotate")
        else:
            self._is_ordered = False

    async def _finish(self) -> None:
        """Bring the record to what the link has told."""
        try:
            if (refused := self._to_drop) is not None:
                self._to_drop = None
                await self._rotation.drop(refused)
            if (welcomed := self._to_settle) is not None:
                await self._rotation.settle(welcomed)
                self._to_settle = None
                self._health.clear(_NOT_DONE)
        except IdentityError as error:
            self._warn(
                f"the new key serves, but the old one is not put away: {error}", "it is tried again"
            )

    def _warn(self, text: str, mend: str) -> None:
        self._health.warn(_NOT_DONE, text, mend)

    def _tell_place(self) -> None:
        if self._identity.key_store == "file":
            self._health.warn(
                _IN_FILE,
                "the node's key lies in a file, where a backup may take it along",
                "where there is a keyring now, a new key goes there: byoi keys rotate",
            )
        else:
            self._health.clear(_IN_FILE)
