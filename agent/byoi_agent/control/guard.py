"""Who may speak to the control API over loopback TCP; pure.

Any program and any web page on this machine can reach a loopback port: the token tells the owner
from other programs, Host and Origin tell a program from a page (also from one whose name was
rebound to 127.0.0.1).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["allowed", "unauthorized", "forbidden"]


def judge(headers: Mapping[str, str], port: int, token: str) -> Verdict:
    """Whether a request with these headers may pass; `headers` finds names in any case."""
    if not is_from_here(headers, port):
        return "forbidden"
    scheme, _, shown = headers.get("Authorization", "").partition(" ")
    # Bytes: compare_digest refuses text beyond ASCII, which anybody could send.
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        shown.strip().encode(errors="surrogateescape"), token.encode()
    ):
        return "unauthorized"
    return "allowed"


def is_from_here(headers: Mapping[str, str], port: int) -> bool:
    """Whether a program of this machine asks, and no web page under a name of its own."""
    names = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
    if headers.get("Host", "").lower() not in names:
        return False
    origin = headers.get("Origin")
    return origin is None or origin.lower() in {f"http://{name}" for name in names}
