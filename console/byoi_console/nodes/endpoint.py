"""The agents' door: a websocket becomes a proven node, and what it says reaches its owners."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from byoi_console.accounts.attempts import place_of
from byoi_console.clock import wall_ms
from byoi_console.errors import LedgerUnavailable
from byoi_console.ledger.entries import Claim
from byoi_console.nodes.link import BUSY_CLOSE, Link
from byoi_console.nodes.offers import Offers
from byoi_console.nodes.plausible import (
    plausible_availability,
    plausible_offer,
    plausible_status,
)
from byoi_console.routing.registry import STOPS
from byoi_wire import codec
from byoi_wire.aio.connection import ABNORMAL_CLOSE, Closed, Connection
from byoi_wire.aio.inbox import ChannelLost, Inbox
from byoi_wire.aio.websocket import accept
from byoi_wire.errors import HandshakeRefused, ProtocolViolation, SignatureInvalid
from byoi_wire.handshake import ConsoleHandshake
from byoi_wire.messages import (
    Advertise,
    Availability,
    ControlMessage,
    Draining,
    Limits,
    PinAnswer,
    RecordName,
    Reject,
    Status,
    UsageAck,
    UsageBatch,
    Welcome,
)
from byoi_wire.usage import open_record
from byoi_wire.version import (
    DATA_LIMIT_BYTES,
    GRACE_SECONDS,
    HANDSHAKE_LIMIT_BYTES,
    HANDSHAKE_SECONDS,
    LEASE_SECONDS,
    MESSAGE_LIMIT_BYTES,
    MODELS_LIMIT,
    RENEW_SECONDS,
    WINDOW_BYTES,
)

if TYPE_CHECKING:
    from byoi_console.ledger.postings import Ledger
    from byoi_console.nodes.keys import ConsoleKeys
    from byoi_console.nodes.pins import Pins
    from byoi_console.nodes.records import Begun, NodeKey, NodeRecords
    from byoi_console.nodes.session import LiveSession, Sessions
    from byoi_console.routing.registry import Registry
    from byoi_wire.aio.websocket import WebSocketChannel
    from byoi_wire.ids import KeyId, OrgId
    from byoi_wire.messages import Hello, StreamOffset
    from byoi_wire.usage import SignedRecord

logger = logging.getLogger(__name__)

UNPROVEN_PER_ADDRESS: Final = 16
"""Handshakes that one address (of IPv6, one network) may have under way; a proof costs us 0.2 ms, a
wait nothing."""

RETURN_SECONDS: Final = (0.5, 4.0)
"""Each node that comes while too many do is told its own moment within this time to come again;
by their own back-off some of a large crowd would wait for a minute."""

PROOFS_LIMIT: Final = 4096
"""Nodes' keys kept to prove their usage records."""

UNREADABLE_SECONDS: Final = 5.0
"""When a node may try again that came while the database refused."""

_POLICY_CLOSE: Final = 1008
_LIMITS: Final = Limits(
    window_bytes=WINDOW_BYTES, data_bytes=DATA_LIMIT_BYTES, message_bytes=MESSAGE_LIMIT_BYTES
)


class _Proven(NamedTuple):
    hello: Hello
    org_id: OrgId
    begun: Begun


class AgentsDoor:
    """Sole owner of the links' tasks; `run` holds them, calling the door starts one."""

    def __init__(
        self,
        *,
        keys: ConsoleKeys,
        records: NodeRecords,
        sessions: Sessions,
        registry: Registry,
        ledger: Ledger,
        pins: Pins,
    ) -> None:
        self._keys = keys
        self._records = records
        self._sessions = sessions
        self._registry = registry
        self._ledger = ledger
        self._pins = pins
        self._unproven: Counter[str] = Counter()
        self._notes_life = True
        self._offers = Offers(records)
        # A key's name stands for the same key for ever, and old records outlive its revocation.
        self._proofs: dict[KeyId, NodeKey] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled: hold the links, and write down which nodes give a sign of life."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._offers.run(), name="offers of nodes")
                tasks.create_task(self._pins.run(), name="answers to pins")
                try:
                    while True:
                        await asyncio.sleep(RENEW_SECONDS)
                        self._sessions.renew_exhausted()
                        await self._note_life()
                finally:
                    self._tasks = None  # a group that ends takes no more
        finally:
            self._sessions.close()

    async def _note_life(self) -> None:
        """A database that refuses costs a late `last_seen_at`, never a link; told once."""
        try:
            await self._records.seen(list(self._sessions.connected()))
        except SQLAlchemyError as error:
            if self._notes_life:
                logger.warning("signs of life not written", extra={"why": str(error)})
            self._notes_life = False
        else:
            self._notes_life = True

    def __call__(self, transport: asyncio.Transport, head: bytes, peer: str) -> None:
        """Take over a transport whose first bytes ask for the link."""
        channel = accept(transport, head)
        if channel is None:
            return
        if self._tasks is None or self._unproven[place_of(peer)] >= UNPROVEN_PER_ADDRESS:
            wait = random.uniform(*RETURN_SECONDS)  # noqa: S311 (keeps them apart, no secret)
            busy = HandshakeRefused("retry", "too many handshakes from this address", wait)
            self._reject(channel, busy, BUSY_CLOSE)
            return
        self._tasks.create_task(self._serve(channel, peer), name=f"link from {peer}")

    async def _serve(self, channel: WebSocketChannel, peer: str) -> None:
        try:
            proven = await self._admit_one(channel, peer)
            if proven is not None:
                await self._carry(channel, proven, peer)
        except Exception:  # one link's fault must not end the others; told once, here
            logger.exception("link failed", extra={"peer": peer})
            channel.abort()
        except asyncio.CancelledError:
            channel.close(1012, "the console restarts")
            raise

    # Who is it

    async def _admit_one(self, channel: WebSocketChannel, peer: str) -> _Proven | None:
        """The proven hello; None where the door stayed shut, and why has been said."""
        place = place_of(peer)
        self._unproven[place] += 1
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                return await self._prove(channel)
        except HandshakeRefused as refusal:
            self._reject(channel, refusal)
        except SQLAlchemyError as error:
            logger.warning("node not admitted", extra={"peer": peer, "why": str(error)})
            busy = "the console's database cannot be used at the moment"
            self._reject(channel, HandshakeRefused("retry", busy, UNREADABLE_SECONDS))
        except TimeoutError:
            channel.close(1008, "no handshake in time")
        except ProtocolViolation as violation:
            channel.close(violation.close_code, str(violation))
        except ChannelLost:
            pass
        finally:
            self._unproven[place] -= 1
            if not self._unproven[place]:
                del self._unproven[place]
        return None

    async def _prove(self, channel: WebSocketChannel) -> _Proven:
        inbox = Inbox(channel, HANDSHAKE_LIMIT_BYTES)
        handshake = ConsoleHandshake(
            origin=self._keys.origin,
            key_id=self._keys.key_id,
            key=self._keys.key,
            nonce=secrets.token_hex(16),
            now_ms=wall_ms(),
        )
        channel.send(handshake.text)
        hello = handshake.read_hello(await inbox.next())
        key = await self._records.key(hello.key_id)
        if key is None or key.node_id != hello.node_id:
            raise HandshakeRefused("reauth", "this console does not know that key")
        try:
            handshake.verify(hello, key.key)
        except SignatureInvalid as error:
            raise HandshakeRefused("reauth", "the proof does not verify") from error
        node = await self._records.get(hello.node_id)
        if node is None or node.is_revoked:
            raise HandshakeRefused("revoked", "this node was revoked")
        if key.is_revoked:
            raise HandshakeRefused("reauth", "this key was replaced by a newer one of this node")
        begun = await self._records.begin_session(hello.node_id, hello.key_id)
        if begun is None:
            # Revoked or replaced at this very moment: the next try is told which.
            raise HandshakeRefused("retry", "this node's key has just been changed", 1.0)
        return _Proven(hello, node.org_id, begun)

    def _reject(
        self, channel: WebSocketChannel, refusal: HandshakeRefused, close_code: int = _POLICY_CLOSE
    ) -> None:
        wait = refusal.retry_after_seconds
        reject = Reject(
            code=refusal.code,
            message=str(refusal),
            retry_after_ms=None if wait is None else round(wait * 1000),
        )
        channel.send(codec.encode_control(reject))
        channel.close(close_code, str(refusal))

    # While it lasts

    async def _carry(self, channel: WebSocketChannel, proven: _Proven, peer: str) -> None:
        epoch, shall_rotate = proven.begun
        admission = self._sessions.admit(proven.hello, proven.org_id, epoch)
        if admission is None:
            self._reject(channel, HandshakeRefused("retry", "a later link was faster", 1.0))
            return
        live = admission.live
        link = Link(self, live)
        connection = Connection(
            channel, live.session, link.control_received, on_text=link.text_received
        )
        channel.send(codec.encode_control(_welcome(live, epoch, admission.resumed)))
        if shall_rotate:
            self._sessions.ask_for_new_key(live.node_id)  # as soon as this link carries it
        self._sessions.carried(live, connection, epoch, peer)
        self._pins.linked(live.node_id)
        resumed = admission.resumed is not None
        logger.info(
            "node online", extra={"node": live.node_id, "epoch": live.epoch, "resumed": resumed}
        )
        connection.start()
        closed, has_left = Closed(ABNORMAL_CLOSE, "the link's task failed"), False
        try:
            async with asyncio.TaskGroup() as tasks:
                booking = tasks.create_task(link.book(connection), name=f"usage of {live.node_id}")
                closed = await connection.run()
                booking.cancel()
        finally:
            # However it ended: a session that still seemed to have a link would get requests.
            live.session.detach(connection)
            has_left = self._sessions.lost(live, connection, closed)
        logger.info(
            "node link ended",
            extra={"node": live.node_id, "code": closed.code, "reason": closed.reason},
        )
        if live.connection is None:
            await self._note_departure(live, with_goodbye=has_left)

    async def _note_departure(self, live: LiveSession, *, with_goodbye: bool) -> None:
        try:
            await self._records.departed(live.node_id, with_goodbye=with_goodbye)
        except SQLAlchemyError as error:
            logger.warning("departure not written", extra={"node": live.node_id, "why": str(error)})

    # What a node says

    def advertised(self, live: LiveSession, message: Advertise) -> None:
        """Its offer, within what a console can hold for each node."""
        if len(message.models) > MODELS_LIMIT:
            raise ProtocolViolation(f"{len(message.models)} models advertised", 1009)
        message = plausible_offer(message)
        self._sessions.advertised(live, message)
        offered = [offer.id for offer in message.models]
        self._offers.heard(live.node_id, offered, serves=live.availability.serving)

    def told(self, live: LiveSession, message: ControlMessage) -> None:
        """What routing should know."""
        match message:
            case Status():
                self._registry.set_status(live.node_id, plausible_status(message))
            case Availability():
                self._sessions.available(live, plausible_availability(message))
            case PinAnswer():
                self._pins.answered(live.node_id, message)
            case Draining():
                self._sessions.available(live, STOPS)
            case _:
                pass  # renewals are life enough by arriving; the rest is not a node's to say

    async def book(self, live: LiveSession, batch: UsageBatch) -> UsageAck | None:
        """The batch in the ledger; None where it must come again."""
        try:
            claims = [await self._claim(live, signed) for signed in batch.records]
            booked = await self._ledger.claim(claims)
        except (LedgerUnavailable, SQLAlchemyError):
            return None
        return UsageAck(ids=tuple(RecordName(request_id=r, attempt=a) for r, a in booked))

    async def _claim(self, live: LiveSession, signed: SignedRecord) -> Claim:
        key = self._proofs.get(signed.key_id) or await self._records.key(signed.key_id)
        if key is None or key.node_id != live.node_id:
            raise ProtocolViolation("a usage record signed with a key that is not this node's")
        try:
            record = open_record(signed, key.key)
        except SignatureInvalid as error:
            raise ProtocolViolation("a usage record that does not verify") from error
        if record.node_id != live.node_id:
            raise ProtocolViolation("a usage record of another node")
        if len(self._proofs) >= PROOFS_LIMIT:
            self._proofs.clear()
        self._proofs[signed.key_id] = key
        return Claim(record, signed)


def _welcome(live: LiveSession, epoch: int, resumed: tuple[StreamOffset, ...] | None) -> Welcome:
    return Welcome(
        session_id=live.session_id,
        epoch=epoch,
        resumed=resumed,
        limits=_LIMITS,
        lease_seconds=LEASE_SECONDS,
        renew_seconds=RENEW_SECONDS,
        grace_seconds=GRACE_SECONDS,
    )
