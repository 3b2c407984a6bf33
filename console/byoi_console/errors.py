"""What the console raises on purpose, told apart by what its caller does next.

ConsoleError
├── ConfigError          a setting is wrong: say which, and stop before anything starts
├── BackupFailed         a backup cannot be made or used: say why, nothing was changed
├── StateInUse           another console serves from this database: stop, trying later may help
├── Unauthenticated      no credential, or none that is known: 401
├── Forbidden            known, but not allowed this: 403
├── NotFound             nothing of that name in the caller's organisation: 404
├── InputInvalid         a field of the request is wrong: 400, `param` names it
├── TooManyDevices       too many machines wait for approval: 429 after `retry_after_seconds`
├── TooManyAttempts      too many wrong credentials from there: 429 after `retry_after_seconds`
├── LimitExceeded        a key's own limit is reached: 429 with `headers`
├── EnrolmentRefused     a join token or its proof is not good: tell the node, do not retry
├── GrantRefused         a device code is no node (yet): 400 in RFC 8628's own words
├── TicketInvalid        a ticket that this console never issued, or not for this attempt
└── LedgerUnavailable    a posting could not be made durable: take no new billable work
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConsoleError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(ConsoleError):
    """A setting is unknown or has a value that cannot be used."""


class BackupFailed(ConsoleError):
    """A backup cannot be written, or what was given is none, or is damaged."""


class StateInUse(ConsoleError):
    """Another process serves from the same database file."""


class Unauthenticated(ConsoleError):
    """The credential is missing, malformed, unknown, expired or revoked; never says which."""


class Forbidden(ConsoleError):
    """The caller is known and may not do this."""


class NotFound(ConsoleError):
    """There is no such thing where the caller may look."""


class InputInvalid(ConsoleError):
    """A request's field cannot be used.

    Attributes:
        param: the field's name, where one is to blame.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class TooManyAttempts(ConsoleError):
    """Wrong credentials came too often from one place, or something else that is counted did.

    Attributes:
        retry_after_seconds: when the next attempt is looked at.
    """

    def __init__(
        self,
        retry_after_seconds: float,
        message: str = "Too many attempts with a wrong credential.",
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyDevices(ConsoleError):
    """So many machines wait for their approval that no further one gets a code.

    Attributes:
        retry_after_seconds: when the first of their codes ends.
    """

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("Too many machines wait for approval; try again when one has been let in.")
        self.retry_after_seconds = retry_after_seconds


class LimitExceeded(ConsoleError):
    """A key's own limit is reached.

    Attributes:
        code: `requests_per_minute` or `max_concurrent`.
        retry_after_seconds: when a request has a chance again.
        headers: OpenAI's `x-ratelimit-*` values of this moment.
    """

    def __init__(
        self, code: str, message: str, retry_after_seconds: float, headers: Mapping[str, str]
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.headers = headers


class EnrolmentRefused(ConsoleError):
    """A machine was not admitted, or is not believed.

    Attributes:
        code: `join_token_invalid`, `proof_invalid`, `key_known` …, as docs/errors.md lists them.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class GrantRefused(ConsoleError):
    """A machine that polls gets no node, or none yet.

    Attributes:
        code: the `error` of RFC 8628 section 3.5 (`authorization_pending`, `slow_down` …).
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class TicketInvalid(ConsoleError):
    """The ticket is not one of ours; whatever came with it is refused for good."""


class LedgerUnavailable(ConsoleError):
    """The database did not take a posting; the node's claim will tell of it later."""
