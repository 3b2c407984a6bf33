"""The device flow (RFC 8628): a machine shows a code, a person types it, the machine is a node."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from byoi_console.accounts.attempts import WrongAttempts, place_of
from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import (
    EnrolmentRefused,
    Forbidden,
    GrantRefused,
    InputInvalid,
    NotFound,
    TooManyAttempts,
)
from byoi_console.nodes import proofs
from byoi_console.nodes.device_flow import machine, rows
from byoi_console.nodes.device_flow.guesses import WrongCodes
from byoi_console.nodes.device_flow.requests import (
    Approved,
    DeviceAuthorization,
)
from byoi_console.nodes.device_flow.user_codes import read_user_code, spelled
from byoi_console.nodes.membership import (
    KEY_KNOWN,
    HostFacts,
    Mode,
    Newcomer,
    Visibility,
    add_node,
    enrolled_as,
    host_as_kept,
    take_over,
)
from byoi_console.store.database import hold_lock
from byoi_console.store.identifiers import new_id, secret_hash
from byoi_console.store.tables import device_codes, node_keys
from byoi_wire.ids import NodeId, OrgId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.nodes.device_flow.requests import (
        Approval,
        Approver,
        DeviceRequest,
        DeviceView,
        GrantRequest,
        PreviousNode,
    )
    from byoi_console.nodes.keys import ConsoleKeys
    from byoi_console.nodes.membership import Enrolled
    from byoi_console.store.database import Database

_PEER_LENGTH: Final = 64
_LOCK: Final = "byoi_device_codes"
_TOLD: Final = {
    "authorization_pending": "Nobody has approved this machine yet.",
    "slow_down": "Polled too soon; wait five seconds longer from now on.",
    "access_denied": "The request was denied.",
    "expired_token": "The code is no longer valid. Begin again.",
    "invalid_grant": "The device code is unknown, or the proof does not fit it and the key.",
}
_NOBODY_WAITS: Final = (
    "No machine waits with that code: it may be mistyped, used or too old. "
    "`byoi enroll` on the machine shows a new one."
)


class Devices:
    """Sole owner of the device codes; of their texts only hashes are kept.

    Each step is one transaction, so that a code is approved once and becomes one node, however
    many ask at the same time. `url` is where browsers reach this console now; the origin that nodes
    have pinned may be older.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        keys: ConsoleKeys,
        disconnect: Callable[[NodeId], None],
        *,
        url: str | None = None,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._keys = keys
        self._disconnect = disconnect
        self._url = url or keys.origin
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._wrong_proofs = WrongAttempts(20, 3.0, monotonic)
        self._wrong_codes = WrongCodes()

    # The machine

    async def start(self, request: DeviceRequest, *, peer: str = "") -> DeviceAuthorization:
        """A code for a machine that wants to become a node.

        Raises:
            EnrolmentRefused: its proof is not good, or its key is a node's already.
            TooManyAttempts: this peer has sent too many of those.
            TooManyDevices: too many codes wait already, in all or from this peer.
        """
        self._wrong_proofs.check(peer)
        raw = proofs.raw_key(request.public_key)
        if raw is None or not proofs.is_signed(raw, request.proof, proofs.device(raw)):
            self._wrong_proofs.failed(peer)
            raise EnrolmentRefused("proof_invalid", "The proof does not fit the key.")
        device_code, now_ms = f"byoi-device-{secrets.token_urlsafe(32)}", self._now_ms()
        async with self._database.write() as connection:
            await hold_lock(connection, _LOCK)
            await connection.execute(
                delete(device_codes).where(device_codes.c.expires_at_ms <= now_ms)
            )
            await rows.refuse_crowd(connection, peer[:_PEER_LENGTH], now_ms)
            await self._refuse_known(connection, proofs.written(raw))
            user_code = await rows.unused_code(connection)
            row = {
                "id": new_id("device"),
                "device_code_hash": secret_hash(device_code),
                "user_code": user_code,
                "public_key": proofs.written(raw),
                "host": host_as_kept(request.host),
                "machine": request.machine,
                "peer": peer[:_PEER_LENGTH],
                "state": "pending",
                "created_at_ms": now_ms,
                "expires_at_ms": now_ms + machine.LIFETIME_SECONDS * 1000,
                "interval_seconds": machine.INTERVAL_SECONDS,
            }
            await connection.execute(insert(device_codes).values(row))
        shown, where = spelled(user_code), f"{self._url}/devices"
        return DeviceAuthorization(
            device_code=device_code,
            user_code=shown,
            verification_uri=where,
            verification_uri_complete=f"{where}?code={shown}",
            expires_in=machine.LIFETIME_SECONDS,
            interval=machine.INTERVAL_SECONDS,
        )

    async def poll(self, request: GrantRequest, *, peer: str = "") -> Enrolled:
        """The machine asks whether it is a node by now.

        Raises:
            GrantRefused: not (yet); its code is the word of RFC 8628.
            TooManyAttempts: this peer has shown too many unknown codes.
        """
        self._wrong_proofs.check(peer)
        raw = proofs.raw_key(request.public_key)
        signed = proofs.enrolment(request.device_code, raw or b"")
        if raw is None or not proofs.is_signed(raw, request.proof, signed):
            self._wrong_proofs.failed(peer)
            raise _refused("invalid_grant")
        try:
            answer = await self._polled(request.device_code, proofs.written(raw))
        except IntegrityError as error:
            raise GrantRefused("access_denied", KEY_KNOWN) from error
        if isinstance(answer, GrantRefused):
            if answer.code == "invalid_grant":
                self._wrong_proofs.failed(peer)
            raise answer
        return answer

    async def _polled(self, device_code: str, public_key: str) -> Enrolled | GrantRefused:
        """Refusals come as values: a poll that is refused is written down all the same."""
        now_ms, replaced = self._now_ms(), None
        named = device_codes.c.device_code_hash == secret_hash(device_code)
        async with self._database.write() as connection:
            query = select(device_codes).where(named).with_for_update()
            row = (await connection.execute(query)).first()
            if row is None or row.public_key != public_key:
                return _refused("invalid_grant")
            match machine.poll(rows.code_of(row), now_ms):
                case machine.Told(refusal, interval):
                    polled = {"polled_at_ms": now_ms, "interval_seconds": interval}
                    await connection.execute(update(device_codes).where(named).values(polled))
                    return _refused(refusal)
                case machine.Take():
                    node_id = await self._admit(connection, row, now_ms)
                    replaced = row.take_over_node_id
                    if node_id is None:
                        return GrantRefused("access_denied", "The node to go on as is gone.")
                case _:
                    node_id = NodeId(row.node_id)
            enrolled = await enrolled_as(connection, node_id, public_key, self._keys)
        if replaced is not None:
            self._disconnect(NodeId(replaced))
        return enrolled or GrantRefused("access_denied", "The node was revoked meanwhile.")

    async def _admit(
        self, connection: AsyncConnection, row: Row[Any], now_ms: int
    ) -> NodeId | None:
        newcomer = Newcomer(
            org_id=OrgId(row.org_id),
            public_key=row.public_key,
            host=HostFacts.model_validate_json(row.host),
            name=row.name or "",
            machine=row.machine,
            visibility=cast("Visibility", row.visibility),
            mode=cast("Mode", row.mode),
            enrolled_by=row.decided_by,
        )
        if row.take_over_node_id is None:
            node_id, action = await add_node(connection, newcomer, now_ms), "node.enrolled"
        else:
            node_id, action = NodeId(row.take_over_node_id), "node.taken_over"
            if not await take_over(connection, node_id, newcomer, now_ms):
                return None
        used = {"state": "used", "node_id": node_id}
        await connection.execute(
            update(device_codes).where(device_codes.c.id == row.id).values(used)
        )
        told = {"device": row.id, "host": newcomer.host.model_dump(), "address": row.peer}
        change = Change(row.decided_by, action, node_id, row.org_id, told)
        await self._audit.record(connection, change)
        return node_id

    async def _refuse_known(self, connection: AsyncConnection, public_key: str) -> None:
        known = select(node_keys.c.id).where(node_keys.c.public_key == public_key)
        if (await connection.execute(known)).first() is not None:
            raise EnrolmentRefused("key_known", KEY_KNOWN)

    # The person

    async def look(self, user_code: str, approver: Approver, *, peer: str = "") -> DeviceView:
        """The waiting machine behind a code, before anything is decided.

        Raises:
            NotFound: no machine waits with that code.
            TooManyAttempts: this person or this peer typed too many wrong codes.
        """
        self._refuse_guesser(approver, peer)
        async with self._database.read() as connection:
            row = await self._waiting(connection, user_code, approver, peer)
            previous = await rows.previous_nodes(connection, row.machine, approver)
        return rows.view_of(row, previous)

    async def approve(
        self, user_code: str, approval: Approval, approver: Approver, *, peer: str = ""
    ) -> Approved:
        """Let the machine in, as chosen; it becomes a node at its next poll.

        Raises:
            NotFound, TooManyAttempts: see `look`; a code is approved or denied once.
            Forbidden: the person does not administer that organisation.
            InputInvalid: the node to take over is not this machine's or not the person's.
        """
        self._refuse_guesser(approver, peer)
        async with self._database.write() as connection:
            row = await self._waiting(connection, user_code, approver, peer)
            old = _taken_over(
                approval, await rows.previous_nodes(connection, row.machine, approver)
            )
            org_id = _organisation(approval, approver, old)
            visibility = approval.visibility or ("org" if old is None else old.visibility)
            mode = approval.mode or ("dedicated" if old is None else old.mode)
            chosen = {
                "org_id": org_id,
                "name": approval.name or None,
                "visibility": visibility,
                "mode": mode,
                "take_over_node_id": None if old is None else old.node_id,
            }
            await self._decide(connection, row, approver, "approved", chosen)
        host = HostFacts.model_validate_json(row.host)
        return Approved(
            user_code=spelled(row.user_code),
            org_id=org_id,
            name=approval.name or (old.name if old is not None else host.name),
            visibility=visibility,
            mode=mode,
            take_over=None if old is None else old.node_id,
        )

    async def deny(self, user_code: str, approver: Approver, *, peer: str = "") -> None:
        """Send the machine away; it hears so at its next poll.

        Raises:
            NotFound, TooManyAttempts: see `look`.
        """
        self._refuse_guesser(approver, peer)
        async with self._database.write() as connection:
            row = await self._waiting(connection, user_code, approver, peer)
            first = {"org_id": approver.organisations[0]} if approver.organisations else {}
            await self._decide(connection, row, approver, "denied", first)

    def _refuse_guesser(self, approver: Approver, peer: str) -> None:
        now = self._monotonic()
        places = _places(approver, peer)
        wait = max(self._wrong_codes.wait_seconds(place, now) for place in places)
        if wait > 0:
            raise TooManyAttempts(wait, "Too many wrong codes.")

    async def _waiting(
        self, connection: AsyncConnection, user_code: str, approver: Approver, peer: str
    ) -> Row[Any]:
        code = read_user_code(user_code)
        query = select(device_codes).where(device_codes.c.user_code == code)
        row = (await connection.execute(query)).first() if code else None
        self._refuse_guesser(approver, peer)  # again: of many at once, the first ones count too
        if row is None:
            for place in _places(approver, peer):
                self._wrong_codes.failed(place, self._monotonic())
        elif machine.decision_on(rows.code_of(row), self._now_ms()) == "open":
            return row
        raise NotFound(_NOBODY_WAITS)

    async def _decide(
        self,
        connection: AsyncConnection,
        row: Row[Any],
        approver: Approver,
        state: machine.State,
        chosen: dict[str, Any],
    ) -> None:
        decided = {"state": state, "decided_by": approver.name, **chosen}
        waiting = device_codes.c.id == row.id, device_codes.c.state == "pending"
        done = await connection.execute(update(device_codes).where(*waiting).values(decided))
        if not done.rowcount:
            raise NotFound(_NOBODY_WAITS)
        told = {**chosen, "host": HostFacts.model_validate_json(row.host).model_dump()}
        told["fingerprint"] = rows.fingerprint_of(row)
        change = Change(approver.name, f"device.{state}", row.id, chosen.get("org_id"), told)
        await self._audit.record(connection, change)


def _places(approver: Approver, peer: str) -> tuple[str, str]:
    return f"by {approver.name}", f"from {place_of(peer)}"


def _taken_over(approval: Approval, previous: tuple[PreviousNode, ...]) -> PreviousNode | None:
    if approval.take_over is None:
        return None
    for node in previous:
        if node.node_id == approval.take_over:
            return node
    raise InputInvalid(
        "take_over: this machine was no such node of an organisation of yours.", "take_over"
    )


def _organisation(approval: Approval, approver: Approver, old: PreviousNode | None) -> OrgId:
    if old is not None:
        if approval.organisation not in {None, old.org_id}:
            raise InputInvalid(
                "organisation: a node that is taken over stays in its own.", "organisation"
            )
        return old.org_id
    wanted = approval.organisation
    for org_id in approver.organisations:
        if wanted in {None, org_id}:
            return org_id
    raise Forbidden("You do not administer that organisation.")


def _refused(code: str) -> GrantRefused:
    return GrantRefused(code, _TOLD[code])
