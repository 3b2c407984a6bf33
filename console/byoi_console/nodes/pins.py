"""Nodes that an organisation wants for itself: who asked, and what the owners say."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.nodes.pin_states import OPEN, heard, is_dedicated
from byoi_console.nodes.plausible import TEXT_LIMIT
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import nodes, organisations, pins
from byoi_wire.ids import NodeId, OrgId, PinId
from byoi_wire.messages import PinAsk, PinEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.nodes.pin_states import PinState
    from byoi_console.routing.registry import Registry
    from byoi_console.store.database import Database
    from byoi_wire.messages import ControlMessage, PinAnswer

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 10.0
REASON_LIMIT: Final = 500
_ALREADY: Final = "This node is asked for already; take that back before you ask anew."


@dataclass(frozen=True)
class Pin:
    """One wish and what has become of it; times are Unix milliseconds.

    `answered_by` is who decided at the node, as the node says, and `ended_by` who took the wish
    back here.
    """

    pin_id: PinId
    node_id: NodeId
    org_id: OrgId
    organisation: str
    state: PinState
    reason: str
    asked_by: str
    asked_at_ms: int
    answered_by: str | None = None
    answered_at_ms: int | None = None
    ended_by: str | None = None
    ended_at_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is asked for or granted."""
        return self.state in OPEN


class Pins:
    """Sole owner of the pins' rows, and of whom each node is dedicated to.

    What a node says takes effect at once and is written down right after; a database that refuses
    is asked again. `send` reaches a node that has a link, and is False where there is none: it
    hears of an open pin at each link, and of one that is over when it names it.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        registry: Registry,
        send: Callable[[NodeId, ControlMessage], bool],
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._database = database
        self._audit = audit
        self._registry = registry
        self._send = send
        self._now_ms = now_ms
        self._newest: dict[NodeId, Pin] = {}
        self._waiting: dict[PinId, list[tuple[Pin, PinState]]] = {}
        self._news = asyncio.Event()

    async def load(self) -> None:
        """What stood when the console stopped, before the first node comes."""
        for pin in await self._read():
            self._show(pin)

    def of(self, node_id: NodeId) -> Pin | None:
        """The pin that is asked for or granted at a node, else what became of the last one."""
        return self._newest.get(node_id)

    def _open_of(self, node_id: NodeId) -> Pin | None:
        pin = self._newest.get(node_id)
        return pin if pin is not None and pin.is_open else None

    # What an administrator does

    async def ask(self, node_id: NodeId, reason: str, actor: str, asked_by: str) -> bool:
        """Ask the node's owner; False: no link leads there now, and it hears when it is back.

        `actor` is who asks, for the audit, and `asked_by` how the owner reads it.

        Raises:
            NotFound: there is no such node.
            InputInvalid: the reason is too long, or the node is asked for already.
        """
        reason = "".join(letter for letter in reason if letter.isprintable()).strip()
        if len(reason) > REASON_LIMIT:
            raise InputInvalid(f"A reason has at most {REASON_LIMIT} characters.", "reason")
        if self._open_of(node_id) is not None:
            raise InputInvalid(_ALREADY, "node_id")
        async with self._database.write() as connection:
            pin = await self._wish(connection, node_id, reason, asked_by)
            await _check_free(connection, node_id, self._newest.get(node_id))
            row = {name: value for name, value in vars(pin).items() if name != "organisation"}
            await connection.execute(insert(pins).values(id=row.pop("pin_id"), **row))
            told = {"pin": pin.pin_id, "reason": reason}
            change = Change(actor, "node.pin_asked", node_id, pin.org_id, told)
            await self._audit.record(connection, change)
        self._show(pin)
        return self._send(node_id, _asked(pin))

    async def end(self, node_id: NodeId, actor: str) -> None:
        """The organisation wants it no more, granted or not.

        Raises:
            NotFound: nobody has asked for the node.
        """
        if (pin := self._open_of(node_id)) is None:
            raise NotFound("This node is not pinned, and nobody has asked for it.")
        over = replace(pin, state="ended", ended_by=actor, ended_at_ms=self._now_ms())
        async with self._database.write() as connection:
            await self._set(connection, over)
            told = {"pin": pin.pin_id, "before": pin.state}
            change = Change(actor, "node.unpinned", node_id, pin.org_id, told)
            await self._audit.record(connection, change)
        self._show(over)
        self._send(node_id, PinEnd(pin_id=pin.pin_id))

    # What the agents' door tells

    def linked(self, node_id: NodeId) -> None:
        """A link leads to the node: it hears what is asked of it."""
        if (pin := self._open_of(node_id)) is not None:
            self._send(node_id, _asked(pin))

    def answered(self, node_id: NodeId, answer: PinAnswer) -> None:
        """The node says what its owner wants."""
        pin = self._newest.get(node_id)
        is_meant = pin is not None and pin.pin_id == answer.pin_id
        found = heard(pin.state if pin is not None and is_meant else "ended", answer.state)
        if found.shall_end:
            self._send(node_id, PinEnd(pin_id=answer.pin_id))
        if pin is None or not found.is_news:
            return
        now = replace(
            pin,
            state=found.state,
            answered_by=_readable(answer.actor),
            answered_at_ms=self._now_ms(),
        )
        self._show(now)
        self._waiting.setdefault(pin.pin_id, []).append((now, pin.state))
        self._news.set()

    async def run(self) -> None:
        """Until cancelled: what nodes have said is written down."""
        is_well = True
        while True:
            await self._news.wait()
            try:
                await self.write()
            except SQLAlchemyError as error:
                if is_well:
                    logger.warning("answers to pins not written", extra={"why": str(error)})
                is_well = False
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                is_well = True

    async def write(self) -> None:
        """Write what waits.

        Raises:
            SQLAlchemyError: the database refused; it waits on.
        """
        while self._waiting:
            pin_id, changes = next(iter(self._waiting.items()))
            count = len(changes)  # more may come meanwhile
            async with self._database.write() as connection:
                for pin, before in changes[:count]:
                    await self._set(connection, pin)
                    await self._audit.record(connection, _told(pin, before))
            del changes[:count]
            if not changes:
                del self._waiting[pin_id]
        self._news.clear()

    # Inside

    def _show(self, pin: Pin) -> None:
        """What stands from now on, for routing and for whoever looks."""
        self._newest[pin.node_id] = pin
        self._registry.set_pinned(pin.node_id, pin.org_id if is_dedicated(pin.state) else None)

    async def _wish(
        self, connection: AsyncConnection, node_id: NodeId, reason: str, asked_by: str
    ) -> Pin:
        live = nodes.c.id == node_id, nodes.c.deleted_at_ms.is_(None)
        query = select(nodes.c.org_id, organisations.c.name).join(organisations)
        row = (await connection.execute(query.where(*live))).first()
        if row is None:
            raise NotFound("There is no such node.")
        return Pin(
            pin_id=PinId(new_id("pin")),
            node_id=node_id,
            org_id=OrgId(row.org_id),
            organisation=row.name,
            state="asked",
            reason=reason,
            asked_by=asked_by,
            asked_at_ms=self._now_ms(),
        )

    async def _set(self, connection: AsyncConnection, pin: Pin) -> None:
        """As it is now; what was ended meanwhile stays so."""
        changed = ("state", "answered_by", "answered_at_ms", "ended_by", "ended_at_ms")
        is_open = pins.c.id == pin.pin_id, pins.c.state.in_(OPEN)
        values = {name: getattr(pin, name) for name in changed}
        await connection.execute(update(pins).where(*is_open).values(values))

    async def _read(self) -> list[Pin]:
        """All, the oldest first."""
        query = select(pins, organisations.c.name.label("organisation")).join(organisations)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(pins.c.asked_at_ms, pins.c.id))
            return [_pin(row) for row in rows]


async def _check_free(connection: AsyncConnection, node_id: NodeId, known: Pin | None) -> None:
    """Two may ask in the same moment: the second finds the first one's row.

    What has become of the `known` one may not be written yet.
    """
    is_open = pins.c.node_id == node_id, pins.c.state.in_(OPEN)
    over = known.pin_id if known is not None and not known.is_open else ""
    query = select(pins.c.id).where(*is_open, pins.c.id != over)
    if (await connection.execute(query)).first() is not None:
        raise InputInvalid(_ALREADY, "node_id")


def _asked(pin: Pin) -> PinAsk:
    return PinAsk(
        pin_id=pin.pin_id,
        org_id=pin.org_id,
        organisation=pin.organisation,
        reason=pin.reason,
        asked_by=pin.asked_by,
        asked_at_ms=pin.asked_at_ms,
    )


def _told(pin: Pin, before: PinState) -> Change:
    actor = f"{pin.answered_by} at {pin.node_id}" if pin.answered_by else pin.node_id
    details = {"pin": pin.pin_id, "before": before, "after": pin.state, "at_ms": pin.answered_at_ms}
    return Change(actor[:TEXT_LIMIT], f"node.pin_{pin.state}", pin.node_id, pin.org_id, details)


def _readable(actor: str) -> str:
    return "".join(letter for letter in actor if letter.isprintable()).strip()[: TEXT_LIMIT // 2]


def _pin(row: Row[Any]) -> Pin:
    return Pin(
        pin_id=PinId(row.id),
        node_id=NodeId(row.node_id),
        org_id=OrgId(row.org_id),
        organisation=row.organisation,
        state=row.state,
        reason=row.reason,
        asked_by=row.asked_by,
        asked_at_ms=row.asked_at_ms,
        answered_by=row.answered_by,
        answered_at_ms=row.answered_at_ms,
        ended_by=row.ended_by,
        ended_at_ms=row.ended_at_ms,
    )
