"""What can go wrong on a node, told apart by what the caller should do next.

AgentError
├── ConfigError      the owner must change a setting: name it, and the mend
├── IdentityError    the node's key or enrolment is missing, broken or refused: enrol again
│   └── KeyringAway      its key lies in a keyring that cannot be read now: try again later
├── LinkError        the console cannot be reached or said no: `retry` says whether to try again
├── EngineError      the engine is gone, silent or broke HTTP: end the request, have it probed
│   ├── EngineAbsent     nobody listens there: it holds nothing, and is not asked for more
│   └── EngineSilent     no answer in time: look whether it works for others before ending it
└── RequestRefused   not here, not now: answer with `reason`, let the console try another node
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(AgentError):
    """A setting is wrong or missing; the message names it and how to mend it."""


class IdentityError(AgentError):
    """The node cannot prove who it is."""


class KeyringAway(IdentityError):
    """The key is where it was, and nobody can read it now: locked, no session, or too busy."""


class LinkError(AgentError):
    """There is no link to the console.

    Attributes:
        retry: False when trying again cannot help (revoked, replaced, upgrade required).
        retry_after_seconds: the console's hint, where it gave one.
    """

    def __init__(
        self, message: str, *, retry: bool, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_seconds = retry_after_seconds


class EngineError(AgentError):
    """The engine cannot be used; the message is for the owner, never for a client."""


class EngineAbsent(EngineError):
    """Nobody listens where it should be."""


class EngineSilent(EngineError):
    """No answer in time: it may hang, or have more to do than it can."""


class RequestRefused(AgentError):
    """This node does not take the request; nothing of it has reached the engine.

    Attributes:
        reason: a lower-case word for programs (`draining`, `over_capacity`, `engine_not_ready` …).
        retry_after_seconds: when it may be worth asking again, where that is known.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
