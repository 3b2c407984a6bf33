"""What the helpers in people's sessions report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.control.presence import SessionHeard, SessionReport, reading_of, user_of
from byoi_agent.control.routing import Asked, Refusal, Refuses, Route, Routes

if TYPE_CHECKING:
    from byoi_agent.availability.readings import SessionReading

_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429


class SessionDesk(Protocol):
    """Whoever puts together what is known of sessions."""

    def report(self, helper: str, reading: SessionReading) -> bool: ...  # noqa: D102
    def end(self, helper: str) -> None: ...  # noqa: D102


def add(routes: Routes, service: SessionDesk) -> None:
    """One route; a helper asks it every few seconds."""

    async def report(asked: Asked[SessionReport]) -> SessionHeard:
        user = user_of(asked.actor, asked.what.user)
        if user is None:
            raise Refusal(_FORBIDDEN, "nobody can tell whose session this is; name the user")
        helper = f"{user} at {asked.what.session}"
        if asked.what.is_ended:
            service.end(helper)
        elif not service.report(helper, reading_of(asked.what, user)):
            raise Refusal(_TOO_MANY, "too many sessions are reported already")
        return SessionHeard(user=user)

    routes.add(
        Route(
            "POST",
            "/api/session",
            report,
            "Tell how a person's session is; the socket's peer credentials say whose it is.",
            SessionReport,
            SessionHeard,
            refuses=(
                Refuses(_FORBIDDEN, "nobody can tell whose session it is"),
                Refuses(_TOO_MANY, "more than 64 sessions are reported"),
            ),
            is_logged=False,
        )
    )
