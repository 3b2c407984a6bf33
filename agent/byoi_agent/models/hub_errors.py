"""What goes wrong between us and a hub, told apart by whether asking again helps."""

from __future__ import annotations

from byoi_agent.errors import AgentError, ConfigError


class HubRefused(ConfigError):
    """The hub says no, and will say it again: wrong name, no access; the message has the mend."""


class HubUnreachable(AgentError):
    """The hub does not answer, or breaks off again and again; later it may work.

    Attributes:
        retry_after_seconds: the hub's own wish, where it has one.
    """

    exit_code = 69

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
