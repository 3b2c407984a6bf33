"""What can go wrong on the link, told apart by what the reader should do next.

WireError
├── ProtocolViolation   the peer broke the contract: close the link with its code
├── HandshakeRefused    the console said no: `code` says whether to try again
└── SignatureInvalid    a proof does not fit its key or its text: trust nothing that came with it
"""

from __future__ import annotations

from typing import Literal

RejectCode = Literal["retry", "reauth", "revoked", "upgrade_required"]


class WireError(Exception):
    """Base of everything this package raises on purpose."""


class ProtocolViolation(WireError):
    """The peer sent what the protocol does not allow; the link must be closed.

    Attributes:
        close_code: RFC 6455 status for the close frame (1002 protocol error, 1009 too big …).
    """

    def __init__(self, message: str, close_code: int = 1002) -> None:
        super().__init__(message)
        self.close_code = close_code


class HandshakeRefused(WireError):
    """The console rejected the session.

    Attributes:
        code: what to do next, as in `messages.Reject`.
        retry_after_seconds: the console's hint, where it gave one.
    """

    def __init__(
        self, code: RejectCode, message: str, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class SignatureInvalid(WireError):
    """A signature does not verify; raised before anything signed is believed."""
