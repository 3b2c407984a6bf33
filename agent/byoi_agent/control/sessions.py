"""Browsers that the owner let in: a code that works once, then a cookie that goes on."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

CODE_SECONDS: Final = 60.0
"""How long a code waits for its browser to start."""
IDLE_SECONDS: Final = 12 * 3600.0
LIFE_SECONDS: Final = 7 * 24 * 3600.0
_MOST_CODES: Final = 8
_MOST_SESSIONS: Final = 16


@dataclass(frozen=True)
class Session:
    """One browser; times are monotonic seconds. `csrf` is what a page's forms and scripts show."""

    csrf: str = field(repr=False)
    began_at: float
    used_at: float

    def is_over(self, now: float) -> bool:
        """Whether it has not been used for long, or is old."""
        return now - self.used_at >= IDLE_SECONDS or now - self.began_at >= LIFE_SECONDS


class KeptSession(BaseModel):
    """One browser across a restart: its cookie's digest in hex, its word, and how old it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    csrf: str = Field(min_length=32, repr=False)
    age_seconds: float = Field(ge=0)
    unused_seconds: float = Field(ge=0)


class Sessions:
    """Sole owner of codes and sessions.

    Both are kept by their digest, so that a look into memory finds nothing to show. Of too many,
    the oldest goes.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._codes: dict[bytes, float] = {}
        self._sessions: dict[bytes, Session] = {}

    def make_code(self) -> str:
        """What lets one browser in, once and soon."""
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = self._now() + CODE_SECONDS
        while len(self._codes) > _MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return code

    def redeem(self, code: str) -> str | None:
        """The cookie of a new session; None for a code that is none, was used, or came too late."""
        until = self._codes.pop(_digest(code), None)
        now = self._now()
        if until is None or now >= until:
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = Session(secrets.token_urlsafe(32), now, now)
        while len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return cookie

    def use(self, cookie: str) -> Session | None:
        """The session of a cookie, which thereby goes on; None where there is none."""
        key, now = _digest(cookie), self._now()
        session = self._sessions.pop(key, None)
        if session is None or session.is_over(now):
            return None
        self._sessions[key] = replace(session, used_at=now)  # the least used is the oldest
        return self._sessions[key]

    def has(self, cookie: str) -> bool:
        """Whether it goes on, for a page that stays open; that is no use of it."""
        session = self._sessions.get(_digest(cookie))
        return session is not None and not session.is_over(self._now())

    def end(self, cookie: str) -> None:
        """The owner signed out."""
        self._sessions.pop(_digest(cookie), None)

    def end_all(self) -> int:
        """The owner signed every browser out; how many there were. No code lets in any more."""
        count = len(self._sessions)
        self._sessions.clear()
        self._codes.clear()
        return count

    def kept(self) -> tuple[KeptSession, ...]:
        """Those that may go on in the node's next process, least used first."""
        now = self._now()
        return tuple(
            KeptSession(
                digest=digest.hex(),
                csrf=session.csrf,
                age_seconds=now - session.began_at,
                unused_seconds=now - session.used_at,
            )
            for digest, session in self._sessions.items()
            if not session.is_over(now)
        )

    def let_in_again(self, kept: tuple[KeptSession, ...], away_seconds: float) -> None:
        """Those of the process before, which ended so long ago: the time between counts as well."""
        now = self._now()
        for each in kept[-_MOST_SESSIONS:]:
            began_at = now - away_seconds - each.age_seconds
            used_at = now - away_seconds - each.unused_seconds
            self._sessions[bytes.fromhex(each.digest)] = Session(each.csrf, began_at, used_at)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
