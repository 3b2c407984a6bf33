"""Puts together what several sources say of each person's session, and tells what is news.

A person is there if any source says so; a source that is silent takes nothing from the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import SessionReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HELPER_SECONDS: Final = 8.0
"""A helper reports every few seconds; one that is silent for so long has gone or hangs."""

REFRESH_SECONDS: Final = 10.0
"""How often a session is told of although nothing has changed."""

_NEWS_SECONDS: Final = 0.5
"""How much less idle time than was to be expected is a key or a movement."""

_MOST_SESSIONS: Final = 64
LISTS_ALL: Final = "logind"
"""The source that knows of every session, and so can say who is not there."""

_COARSE: Final = (LISTS_ALL,)


@dataclass(frozen=True)
class _Told:
    """What one source last said, or None where it cannot tell now; `until` it counts."""

    readings: tuple[SessionReading, ...] | None
    at: float
    until: float | None = None


class Sessions:
    """Sole owner of what each source said last; `session` and `gone` hear what is news.

    `own_user` is who this process is: if a source of its session is there but none answers, that
    session cannot be read, which is another thing than that nobody is there.
    """

    def __init__(
        self,
        own_user: str,
        *,
        session: Callable[[SessionReading], None],
        gone: Callable[[str], None],
    ) -> None:
        self._own_user = own_user
        self._session = session
        self._gone = gone
        self._told: dict[str, _Told] = {}
        self._published: dict[str, tuple[SessionReading, float]] = {}

    @property
    def helpers(self) -> int:
        """How many helpers report of their sessions, or did so lately."""
        return sum(1 for told in self._told.values() if told.until is not None)

    def say(self, source: str, readings: tuple[SessionReading, ...] | None, now: float) -> None:
        """A source of this process has answered; None: it cannot."""
        bounded = None if readings is None else readings[:_MOST_SESSIONS]
        self._told[source] = _Told(bounded, now)
        self.look(now)

    def report(self, helper: str, reading: SessionReading, now: float) -> bool:
        """The helper in a person's session reports; False if there are too many of them."""
        if helper not in self._told and len(self._told) >= _MOST_SESSIONS:
            return False
        self._told[helper] = _Told((reading,), now, now + HELPER_SECONDS)
        self.look(now)
        return True

    def end(self, helper: str, now: float) -> None:
        """A helper has ended, and with it the session that it reported of."""
        self._told.pop(helper, None)
        self.look(now)

    def forget_own(self, now: float) -> None:
        """What this process saw holds no more; helpers go on."""
        self._told = {one: told for one, told in self._told.items() if told.until is not None}
        self.look(now)

    def look(self, now: float) -> None:
        """Tell what is news by now; also silence is."""
        silent = self._forget_the_silent(now)
        current = self._merged(now)
        for user in silent - current.keys():
            if not self._is_listed_as_gone(user):
                current[user] = SessionReading(user)
        for user, reading in current.items():
            if is_news(reading, self._published.get(user), now):
                self._published[user] = reading, now
                self._session(reading)
        for user in [user for user in self._published if user not in current]:
            del self._published[user]
            self._gone(user)

    def _forget_the_silent(self, now: float) -> set[str]:
        """Whose session nobody reads any more although nobody said that it ended."""
        silent: set[str] = set()
        for source, told in list(self._told.items()):
            if told.until is not None and now >= told.until:
                users = {reading.user for reading in told.readings or ()}
                # It stays as one that cannot tell, until it reports again or is listed as gone.
                if any(self._is_listed_as_gone(user) for user in users):
                    del self._told[source]
                else:
                    silent |= users
        own = [told for source, told in self._told.items() if source != LISTS_ALL]
        if any(told.readings is None for told in own):
            silent.add(self._own_user)
        return silent

    def _is_listed_as_gone(self, user: str) -> bool:
        listed = self._told.get(LISTS_ALL)
        if listed is None or listed.readings is None:
            return False
        return all(reading.user != user for reading in listed.readings)

    def _merged(self, now: float) -> dict[str, SessionReading]:
        by_user: dict[str, list[SessionReading]] = {}
        for told in self._told.values():
            if told.until is not None and now >= told.until:
                continue
            for reading in told.readings or ():
                aged = grown(reading, now - told.at)
                by_user.setdefault(reading.user, []).append(aged)
        return {user: merged(readings) for user, readings in by_user.items()}


def grown(reading: SessionReading, seconds: float) -> SessionReading:
    """The same some time later, if nothing was touched since."""
    if reading.idle_seconds is None:
        return reading
    return SessionReading(
        reading.user,
        reading.idle_seconds + seconds,
        reading.is_locked,
        reading.fullscreen,
        reading.sources,
    )


def merged(readings: Iterable[SessionReading]) -> SessionReading:
    """One person's session of what several say of it: at least one reading.

    The smallest idle time holds, that of the login manager only where no other is known: it counts
    from when the desktop told it, minutes late. Locked is what nobody denies: a desktop that does
    not tell its lock to everybody costs minutes, one that counts as locked while somebody works
    costs trust.
    """
    told = list(readings)
    exact = [one for one in told if one.idle_seconds is not None and one.sources != _COARSE]
    idle = [one.idle_seconds for one in exact or told if one.idle_seconds is not None]
    locked = [one.is_locked for one in told if one.is_locked is not None]
    return SessionReading(
        told[0].user,
        min(idle, default=None),
        all(locked) if locked else None,
        next((one.fullscreen for one in told if one.fullscreen), None),
        tuple(dict.fromkeys(source for one in told for source in one.sources)),
    )


def is_news(
    reading: SessionReading, before: tuple[SessionReading, float] | None, now: float
) -> bool:
    """Whether it says more than that time has passed; now and then also that."""
    if before is None:
        return True
    known, at = before
    expected = grown(known, now - at)
    if (reading.is_locked, reading.fullscreen) != (known.is_locked, known.fullscreen):
        return True
    if now - at >= REFRESH_SECONDS:
        return True
    if reading.idle_seconds is None or expected.idle_seconds is None:
        return reading.idle_seconds != expected.idle_seconds
    return abs(expected.idle_seconds - reading.idle_seconds) >= _NEWS_SECONDS
