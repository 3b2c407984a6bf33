"""Join tokens: an organisation's leave for machines to enrol without a person."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import insert, select, update

from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound
from byoi_console.store.identifiers import new_id, secret_hash
from byoi_console.store.tables import join_tokens
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

PREFIX: Final = "byoi-join-"
DEFAULT_SECONDS: Final = 3600


class NewJoinToken(NamedTuple):
    """The only moment at which the token's text can be read."""

    id: str
    token: str
    expires_at_ms: int


class TokenFacts(NamedTuple):
    """A join token as people may see it; times are Unix milliseconds."""

    id: str
    uses: int
    uses_left: int
    created_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int | None


class Leave(NamedTuple):
    """One use of a token was taken: a machine may join this organisation."""

    token_id: str
    org_id: OrgId


class JoinTokens:
    """Sole owner of the join tokens; of their texts only hashes are kept."""

    def __init__(
        self, database: Database, audit: AuditLog, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms

    async def create(
        self,
        org_id: OrgId,
        actor: str,
        *,
        uses: int = 1,
        expires_in_seconds: float = DEFAULT_SECONDS,
    ) -> NewJoinToken:
        """A token that admits `uses` machines until it expires."""
        token = f"{PREFIX}{secrets.token_urlsafe(32)}"
        now_ms = self._now_ms()
        new = NewJoinToken(new_id("join"), token, now_ms + int(expires_in_seconds * 1000))
        row = {
            "id": new.id,
            "org_id": org_id,
            "token_hash": secret_hash(token),
            "uses": uses,
            "uses_left": uses,
            "created_at_ms": now_ms,
            "expires_at_ms": new.expires_at_ms,
        }
        async with self._database.write() as connection:
            await connection.execute(insert(join_tokens).values(row))
            told = {"uses": uses, "expires_at_ms": new.expires_at_ms}
            change = Change(actor, "join_token.created", new.id, org_id, told)
            await self._audit.record(connection, change)
        return new

    async def list(self, org_id: OrgId) -> Sequence[TokenFacts]:
        """The organisation's tokens, newest first."""
        query = select(join_tokens).where(join_tokens.c.org_id == org_id)
        async with self._database.read() as connection:
            rows = await connection.execute(
                query.order_by(join_tokens.c.created_at_ms.desc(), join_tokens.c.id)
            )
            return [
                TokenFacts(
                    id=row.id,
                    uses=row.uses,
                    uses_left=row.uses_left,
                    created_at_ms=row.created_at_ms,
                    expires_at_ms=row.expires_at_ms,
                    revoked_at_ms=row.revoked_at_ms,
                )
                for row in rows
            ]

    async def revoke(self, org_id: OrgId, token_id: str, actor: str) -> None:
        """End a token; the next machine that shows it is refused, those admitted stay.

        Raises:
            NotFound: the organisation has no such token, or it is revoked already.
        """
        live = join_tokens.c.id == token_id, join_tokens.c.org_id == org_id
        query = update(join_tokens).where(*live, join_tokens.c.revoked_at_ms.is_(None))
        async with self._database.write() as connection:
            done = await connection.execute(query.values(revoked_at_ms=self._now_ms()))
            if not done.rowcount:
                raise NotFound("There is no such join token.")
            change = Change(actor, "join_token.revoked", token_id, org_id, {})
            await self._audit.record(connection, change)

    async def id_of(self, connection: AsyncConnection, token: str) -> str | None:
        """Which token has this text, whatever became of it; None: none has."""
        query = select(join_tokens.c.id).where(join_tokens.c.token_hash == secret_hash(token))
        return await connection.scalar(query)

    async def take(self, connection: AsyncConnection, token: str) -> Leave | None:
        """Take one use within the caller's transaction; None: unknown, used up or over.

        The count is checked and lowered by one statement, so that no two transactions can take
        the same use.
        """
        named = join_tokens.c.token_hash == secret_hash(token)
        taken = await connection.execute(
            update(join_tokens)
            .where(named, join_tokens.c.uses_left > 0)
            .where(join_tokens.c.expires_at_ms > self._now_ms())
            .where(join_tokens.c.revoked_at_ms.is_(None))
            .values(uses_left=join_tokens.c.uses_left - 1)
        )
        if not taken.rowcount:
            return None
        row = (await connection.execute(select(join_tokens).where(named))).one()
        return Leave(row.id, OrgId(row.org_id))
