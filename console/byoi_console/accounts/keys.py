"""API keys: made once, shown once, known by their hash ever after."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from sqlalchemy import func, insert, select, update

from byoi_console.accounts.attempts import WrongAttempts
from byoi_console.accounts.audit import Change
from byoi_console.accounts.principal import Principal, Scope
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound, Unauthenticated
from byoi_console.store.identifiers import new_id, secret_hash
from byoi_console.store.tables import api_keys
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Row

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

PREFIX: Final = "sk-byoi-"
CACHE_SECONDS: Final = 5.0
_CACHE_KEYS: Final = 10_000
_KEY_LIMIT: Final = 256
_SHOWN: Final = len(PREFIX) + 4


@dataclass(frozen=True)
class KeyRequest:
    """What a new key may do; None means no limit."""

    name: str
    scope: Scope = "inference"
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None
    expires_in_seconds: float | None = None


@dataclass(frozen=True)
class KeyFacts:
    """A key as people may see it; `prefix` is all that is left of its text."""

    id: str
    org_id: OrgId
    name: str
    scope: Scope
    prefix: str
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    max_concurrent: int | None
    created_at_ms: int
    expires_at_ms: int | None


class NewKey(NamedTuple):
    """The only moment at which the key's text can be read."""

    facts: KeyFacts
    key: str


class _Cached(NamedTuple):
    principal: Principal
    until: float


class ApiKeys:
    """Sole owner of the keys and of the cache of those just used.

    A key revoked here is refused from the next request on; one revoked by another process or
    replica at most five seconds later.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._cache: dict[str, _Cached] = {}
        self._revocations = 0
        self._wrong = WrongAttempts(20, 1.0, monotonic)

    @property
    def wrong_keys(self) -> int:
        """How many were refused since the start."""
        return self._wrong.total

    def cached(self, authorization: str | None) -> Principal | None:
        """The principal of a key used within the last seconds; None: ask `authenticate`."""
        key = _bearer(authorization)
        found = self._cache.get(secret_hash(key)) if key else None
        return found.principal if found and found.until > self._monotonic() else None

    async def authenticate(self, authorization: str | None, *, peer: str = "") -> Principal:
        """The principal behind a bearer `Authorization` value.

        Raises:
            Unauthenticated: there is no key, or it is not a valid one.
            TooManyAttempts: this peer has shown too many wrong keys.
        """
        if known := self.cached(authorization):
            return known
        key = _bearer(authorization)
        if key is None or secret_hash(key) not in self._cache:
            # A key that was good just before is never made to wait: behind a proxy, all clients
            # share one address with whoever is guessing.
            self._wrong.check(peer)
        if key is None:
            raise Unauthenticated("Give an API key as `Authorization: Bearer sk-byoi-…`.")
        principal = await self._look_up(secret_hash(key))
        if principal is None:
            self._wrong.failed(peer)
            raise Unauthenticated("The API key is not valid.")
        return principal

    async def create(self, org_id: OrgId, request: KeyRequest, actor: str) -> NewKey:
        """Make a key for an organisation; its text is in the answer and nowhere else."""
        key = f"{PREFIX}{secrets.token_urlsafe(32)}"
        now_ms = self._now_ms()
        expires_in = request.expires_in_seconds
        facts = KeyFacts(
            id=new_id("key"),
            org_id=org_id,
            name=request.name,
            scope=request.scope,
            prefix=key[:_SHOWN],
            models=request.models,
            requests_per_minute=request.requests_per_minute,
            max_concurrent=request.max_concurrent,
            created_at_ms=now_ms,
            expires_at_ms=None if expires_in is None else now_ms + int(expires_in * 1000),
        )
        row = {**vars(facts), "key_hash": secret_hash(key)}
        row["models"] = None if facts.models is None else json.dumps(facts.models)
        told = {"name": facts.name, "scope": facts.scope, "models": facts.models}
        async with self._database.write() as connection:
            await connection.execute(insert(api_keys).values(row))
            change = Change(actor, "key.created", facts.id, org_id, told)
            await self._audit.record(connection, change)
        return NewKey(facts, key)

    async def list(self, org_id: OrgId) -> Sequence[KeyFacts]:
        """The organisation's keys that are not revoked, oldest first."""
        query = select(api_keys).where(*_unrevoked(org_id))
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(api_keys.c.created_at_ms))
            return [_facts(row) for row in rows]

    async def newest(self, org_id: OrgId, *, limit: int, offset: int = 0) -> Sequence[KeyFacts]:
        """Some of the organisation's keys that are not revoked, newest first."""
        order = (api_keys.c.created_at_ms.desc(), api_keys.c.id)
        query = select(api_keys).where(*_unrevoked(org_id)).order_by(*order)
        async with self._database.read() as connection:
            rows = await connection.execute(query.limit(limit).offset(offset))
            return [_facts(row) for row in rows]

    async def count(self, org_id: OrgId) -> int:
        """How many of the organisation's keys are not revoked."""
        query = select(func.count()).select_from(api_keys).where(*_unrevoked(org_id))
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def get(self, org_id: OrgId, key_id: str) -> KeyFacts | None:
        """One of the organisation's keys; None: there is none, or it is revoked."""
        query = select(api_keys).where(api_keys.c.id == key_id, *_unrevoked(org_id))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _facts(row)

    async def revoke(self, org_id: OrgId, key_id: str, actor: str) -> None:
        """End a key; the next request that shows it is refused.

        Raises:
            NotFound: the organisation has no such key, or it is revoked already.
        """
        live = (api_keys.c.id == key_id, api_keys.c.org_id == org_id)
        query = update(api_keys).where(*live, api_keys.c.revoked_at_ms.is_(None))
        async with self._database.write() as connection:
            done = await connection.execute(query.values(revoked_at_ms=self._now_ms()))
            if not done.rowcount:
                raise NotFound("There is no such key.")
            await self._audit.record(connection, Change(actor, "key.revoked", key_id, org_id, {}))
        self._forget(key_id)

    def _forget(self, key_id: str) -> None:
        # A look-up that read the row before the revocation must not put it back (see `_look_up`).
        self._revocations += 1
        gone = [name for name, kept in self._cache.items() if kept.principal.key_id == key_id]
        for name in gone:
            del self._cache[name]

    async def _look_up(self, key_hash: str) -> Principal | None:
        revocations, now_ms = self._revocations, self._now_ms()
        query = select(api_keys).where(
            api_keys.c.key_hash == key_hash, api_keys.c.revoked_at_ms.is_(None)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None or (row.expires_at_ms is not None and row.expires_at_ms <= now_ms):
            self._cache.pop(key_hash, None)
            return None
        principal = _principal(row)
        if revocations == self._revocations:
            self._keep(key_hash, principal, row.expires_at_ms, now_ms)
        return principal

    def _keep(
        self, key_hash: str, principal: Principal, expires_at_ms: int | None, now_ms: int
    ) -> None:
        seconds = CACHE_SECONDS
        if expires_at_ms is not None:
            seconds = min(seconds, (expires_at_ms - now_ms) / 1000)
        if len(self._cache) >= _CACHE_KEYS:
            self._cache.clear()
        self._cache[key_hash] = _Cached(principal, self._monotonic() + seconds)


def _unrevoked(org_id: OrgId) -> tuple[ColumnElement[bool], ...]:
    return api_keys.c.org_id == org_id, api_keys.c.revoked_at_ms.is_(None)


def _bearer(authorization: str | None) -> str | None:
    scheme, _, key = (authorization or "").partition(" ")
    key = key.strip(" ")
    if scheme.lower() != "bearer" or not key.startswith(PREFIX) or len(key) > _KEY_LIMIT:
        return None
    return key if key.isascii() else None


def _principal(row: Row[Any]) -> Principal:
    return Principal(
        key_id=row.id,
        org_id=OrgId(row.org_id),
        scope=cast("Scope", row.scope),
        models=None if row.models is None else frozenset(json.loads(row.models)),
        requests_per_minute=row.requests_per_minute,
        max_concurrent=row.max_concurrent,
    )


def _facts(row: Row[Any]) -> KeyFacts:
    return KeyFacts(
        id=row.id,
        org_id=OrgId(row.org_id),
        name=row.name,
        scope=cast("Scope", row.scope),
        prefix=row.prefix,
        models=None if row.models is None else tuple(json.loads(row.models)),
        requests_per_minute=row.requests_per_minute,
        max_concurrent=row.max_concurrent,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
    )
