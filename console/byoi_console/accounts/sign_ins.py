"""Sign-ins: the browsers that a person has signed in with, known by the hash of a random token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import insert, select, update

from byoi_console.accounts.attempts import place_of
from byoi_console.accounts.audit import Change
from byoi_console.accounts.organisations import Organisation
from byoi_console.accounts.principal import Principal
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound, Unauthenticated
from byoi_console.store.identifiers import new_id, secret_hash
from byoi_console.store.tables import members, organisations, people, sign_ins
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import ColumnElement, Row, Select, Update
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

COOKIE: Final = "byoi_session"
CSRF_HEADER: Final = "x-csrf-token"
IDLE_SECONDS: Final = 12 * 3600
ABSOLUTE_SECONDS: Final = 7 * 24 * 3600

_TOUCH_MS: Final = 60_000
"""A sign of life is written at most once a minute: a page is no reason to write each time."""
_TOKEN_LIMIT: Final = 128
_BROWSER_LIMIT: Final = 200
_PEER_LIMIT: Final = 64


class NewSignIn(NamedTuple):
    """The only moment at which the token's text can be read: it goes into the cookie."""

    id: str
    token: str


@dataclass(frozen=True)
class SignIn:
    """Who sits at a browser, and for which organisation they look now."""

    id: str
    person_id: str
    email: str
    organisation: Organisation
    organisations: tuple[Organisation, ...]
    csrf_token: str

    @property
    def principal(self) -> Principal:
        """What they may do: whoever can sign in administers the organisation."""
        return Principal(key_id=self.person_id, org_id=self.organisation.id, scope="admin")


@dataclass(frozen=True)
class SignInFacts:
    """A sign-in as its person may see it; times are Unix milliseconds."""

    id: str
    created_at_ms: int
    last_seen_at_ms: int
    expires_at_ms: int
    peer: str
    browser: str


class SignIns:
    """Sole owner of the sign-ins; of their tokens only hashes are kept.

    One ends after twelve hours without a request, after seven days in any case, and at once when
    its person signs out, resets the password or administers no organisation any more.
    """

    def __init__(
        self, database: Database, audit: AuditLog, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms

    async def begin(
        self,
        person_id: str,
        org_id: OrgId,
        *,
        peer: str = "",
        browser: str = "",
        instead_of: str | None = None,
        password_hash: str | None = None,
    ) -> NewSignIn:
        """A new sign-in under a new token; the one that the browser had before is ended.

        Args:
            person_id: whose.
            org_id: the organisation that they look at first.
            peer: the address that the request came from.
            browser: what it calls itself.
            instead_of: the token that the browser had before.
            password_hash: the one that was looked at, where a password let them in.

        Raises:
            Unauthenticated: the password has been changed since it was looked at.
        """
        new = NewSignIn(new_id("signin"), secrets.token_urlsafe(32))
        now_ms = self._now_ms()
        row = {
            "id": new.id,
            "token_hash": secret_hash(new.token),
            "csrf_secret": secrets.token_urlsafe(32),
            "person_id": person_id,
            "org_id": org_id,
            "peer": peer[:_PEER_LIMIT],
            "browser": browser[:_BROWSER_LIMIT],
            "created_at_ms": now_ms,
            "last_seen_at_ms": now_ms,
            "expires_at_ms": now_ms + ABSOLUTE_SECONDS * 1000,
        }
        async with self._database.write() as connection:
            if password_hash is not None:
                await refuse_former(connection, person_id, password_hash)
            if instead_of is not None:
                before = sign_ins.c.token_hash == secret_hash(instead_of)
                await connection.execute(_ended(now_ms).where(before))
            await connection.execute(insert(sign_ins).values(row))
            told = {"peer": row["peer"]}
            change = Change(person_id, "person.signed_in", new.id, org_id, told)
            await self._audit.record(connection, change)
        return new

    async def look(self, token: str | None, *, is_person: bool = True) -> SignIn | None:
        """The sign-in behind a cookie's value; None: there is none, or it has ended.

        Args:
            token: the cookie's value.
            is_person: whether somebody did something; else it is no sign of life.
        """
        if not token or len(token) > _TOKEN_LIMIT:
            return None
        now_ms = self._now_ms()
        async with self._database.read() as connection:
            rows = (await connection.execute(_living(token, now_ms))).all()
        if not rows:
            return None
        if is_person and now_ms - rows[0].last_seen_at_ms >= _TOUCH_MS:
            await self._touch(rows[0].id, now_ms)
        return _sign_in(rows)

    async def living(self, sign_in_ids: Collection[str]) -> frozenset[str]:
        """Which of these have not ended; asking keeps none of them alive."""
        query = select(sign_ins.c.id).where(sign_ins.c.id.in_(sign_in_ids))
        async with self._database.read() as connection:
            found = await connection.scalars(query.where(*_alive(self._now_ms())))
            return frozenset(found)

    async def choose(self, sign_in: SignIn, org_id: str) -> None:
        """Look for another organisation from now on.

        Raises:
            NotFound: the person administers no such organisation.
        """
        if org_id not in {organisation.id for organisation in sign_in.organisations}:
            raise NotFound("There is no such organisation.")
        query = update(sign_ins).where(sign_ins.c.id == sign_in.id).values(org_id=org_id)
        async with self._database.write() as connection:
            await connection.execute(query)

    async def list(self, person_id: str) -> Sequence[SignInFacts]:
        """A person's sign-ins that have not ended, the one last seen first."""
        query = select(sign_ins).where(sign_ins.c.person_id == person_id, *_alive(self._now_ms()))
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(sign_ins.c.last_seen_at_ms.desc()))
            return [_facts(row) for row in rows]

    async def end(self, person_id: str, sign_in_id: str) -> None:
        """End one of a person's sign-ins: the next request of that browser is a stranger's.

        Raises:
            NotFound: the person has no such sign-in, or it has ended.
        """
        mine = (sign_ins.c.id == sign_in_id, sign_ins.c.person_id == person_id)
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            done = await connection.execute(_ended(now_ms).where(*mine))
            if not done.rowcount:
                raise NotFound("There is no such sign-in.")
            change = Change(person_id, "person.signed_out", sign_in_id, None, {})
            await self._audit.record(connection, change)

    async def _touch(self, sign_in_id: str, now_ms: int) -> None:
        query = update(sign_ins).where(sign_ins.c.id == sign_in_id)
        async with self._database.write() as connection:
            await connection.execute(query.values(last_seen_at_ms=now_ms))


async def end_sign_ins(
    connection: AsyncConnection, person_id: str, now_ms: int, *, but: str | None = None
) -> None:
    """End every sign-in of a person within the caller's transaction, save the one named."""
    query = _ended(now_ms).where(sign_ins.c.person_id == person_id)
    await connection.execute(query if but is None else query.where(sign_ins.c.id != but))


async def places_of(connection: AsyncConnection, person_id: str, since_ms: int) -> frozenset[str]:
    """Where a person has signed in from since then; an IPv6 address stands for its network."""
    query = select(sign_ins.c.peer).distinct().where(sign_ins.c.person_id == person_id)
    peers = await connection.scalars(query.where(sign_ins.c.created_at_ms >= since_ms))
    return frozenset(place_of(peer) for peer in peers if peer)


async def refuse_former(
    connection: AsyncConnection, person_id: str, password_hash: str | None
) -> None:
    """Looking at a password takes a while: whoever knew one that is none any more stays out.

    Raises:
        Unauthenticated: the person has another one by now, or none.
    """
    # The row stays locked: whoever changes the password from now on finds the new sign-in.
    query = select(people.c.password_hash).where(people.c.id == person_id).with_for_update()
    if await connection.scalar(query) != password_hash:
        raise Unauthenticated("Wrong email or password.")


def _ended(now_ms: int) -> Update:
    return update(sign_ins).where(sign_ins.c.ended_at_ms.is_(None)).values(ended_at_ms=now_ms)


def _alive(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return (
        sign_ins.c.ended_at_ms.is_(None),
        sign_ins.c.expires_at_ms > now_ms,
        sign_ins.c.last_seen_at_ms > now_ms - IDLE_SECONDS * 1000,
    )


def _living(token: str, now_ms: int) -> Select[Any]:
    """One row per organisation that the person administers, none when the sign-in has ended."""
    return (
        select(
            *(sign_ins.c[name] for name in ("id", "person_id", "csrf_secret", "last_seen_at_ms")),
            sign_ins.c.org_id.label("current_org_id"),
            people.c.email,
            organisations.c.id.label("org_id"),
            organisations.c.name.label("org_name"),
        )
        .join(people, people.c.id == sign_ins.c.person_id)
        .join(members, members.c.person_id == sign_ins.c.person_id)
        .join(organisations, organisations.c.id == members.c.org_id)
        .where(sign_ins.c.token_hash == secret_hash(token), members.c.role == "admin")
        .where(*_alive(now_ms))
        .order_by(organisations.c.created_at_ms, organisations.c.id)
    )


def _sign_in(rows: Sequence[Row[Any]]) -> SignIn:
    first = rows[0]
    found = tuple(Organisation(OrgId(row.org_id), row.org_name) for row in rows)
    chosen = (organisation for organisation in found if organisation.id == first.current_org_id)
    return SignIn(
        id=first.id,
        person_id=first.person_id,
        email=first.email,
        organisation=next(chosen, found[0]),
        organisations=found,
        csrf_token=first.csrf_secret,
    )


def _facts(row: Row[Any]) -> SignInFacts:
    return SignInFacts(
        id=row.id,
        created_at_ms=row.created_at_ms,
        last_seen_at_ms=row.last_seen_at_ms,
        expires_at_ms=row.expires_at_ms,
        peer=row.peer,
        browser=row.browser,
    )
