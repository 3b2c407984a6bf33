"""What the owner is told of a running node: each answer put together from the rooms' own views."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from byoi_agent.config.paths import key_place
from byoi_agent.control.key_list import list_of
from byoi_agent.control.metrics import Reading, exposition
from byoi_agent.control.schema import KeyChange
from byoi_agent.control.status import status_of
from byoi_agent.errors import ConfigError, IdentityError
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import read_record
from byoi_wire.fingerprint import spoken
from byoi_wire.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.control.key_list import KeyList
    from byoi_agent.control.schema import StatusReport
    from byoi_agent.link.keys import NodeKeys
    from byoi_agent.node.board import Board
    from byoi_agent.telemetry.log_place import LogPlace
    from byoi_agent.update.told import Told
    from byoi_agent.usage.books import Books
    from byoi_agent.usage.outbox import Outbox
    from byoi_agent.usage.report import UsageFilter, UsageReport
    from byoi_agent.usage.sampling import EnergySampler
    from byoi_agent.usage.tally import Tally


class Refused(Protocol):
    """Whoever sends requests back; the dispatcher is one."""

    @property
    def refused(self) -> Mapping[str, int]: ...  # noqa: D102


@dataclass(frozen=True)
class Answers:
    """The rooms that are asked; `log` says where the log's lines go now.

    `updates` reads what the updater told: a small file, and root's.
    """

    board: Board
    keys: NodeKeys
    outbox: Outbox
    tally: Tally
    books: Books
    energy: EnergySampler
    door: Refused
    paths: Paths
    console_url: str
    clock: Clock
    started_at: float
    log: Callable[[], LogPlace]
    updates: Callable[[], Told | None] = lambda: None

    async def status(self) -> StatusReport:
        """How the node is."""
        store = self.keys.identity.key_store
        return status_of(
            self.board.view,
            console_url=self.console_url,
            key_store=store,
            pid=os.getpid(),
            uptime_seconds=self._uptime_seconds,
            unacknowledged_records=self.outbox.unacknowledged_records,
            key_place=key_place(store, self.paths),
            tally=self.tally.view(),
            log=self.log(),
            money=self.books.today(),
            update=self._told_of_updates(),
        )

    async def usage(self, chosen: UsageFilter) -> UsageReport:
        """What the file says, with all that is known by now in it."""
        await self.books.write(self.outbox)
        return await self.outbox.report(chosen)

    def metrics(self) -> bytes:
        """Its figures for Prometheus."""
        return exposition(
            Reading(
                view=self.board.view,
                tally=self.tally.view(),
                energy=self.energy.view,
                refused=self.door.refused,
                unacknowledged_records=self.outbox.unacknowledged_records,
                uptime_seconds=self._uptime_seconds,
                protocol=PROTOCOL_VERSION,
            )
        )

    def key_list(self) -> KeyList:
        """Its keys. Raises IdentityError where their record cannot be read."""
        record = read_record(self.paths.identity_file)
        if record is None:
            raise IdentityError("the record of this node's keys is gone; run: byoi enroll")
        return list_of(record, self.paths)

    async def rotate_key(self) -> KeyChange:
        """Its new key."""
        changed = await self.keys.rotate()
        return KeyChange(
            key_id=changed.identity.key_id,
            fingerprint=spoken(fingerprint_of(changed.identity.key)),
            key_store=changed.identity.key_store,
            is_in_use=changed.is_in_use,
        )

    def _told_of_updates(self) -> Told | None:
        try:
            return self.updates()
        except ConfigError:  # of the installation; `byoi doctor` says what is wrong with it
            return None

    @property
    def _uptime_seconds(self) -> float:
        return self.clock.monotonic() - self.started_at
