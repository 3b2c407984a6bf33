"""Who may speak to the control API over loopback TCP; pure.

Any program and any web page on this machine can reach a loopback port: the token tells the owner
from other programs, Host and Origin tell a program from a page (also from one whose name was
rebound to 127.0.0.1). A page of ours shows a cookie, which the browser adds by itself: so what
changes something needs a word that only our own pages know.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["allowed", "unauthorized", "forbidden"]

_ONLY_READS: Final = frozenset({"GET", "HEAD"})


def judge(headers: Mapping[str, str], port: int, token: str) -> Verdict:
    """Whether a request with these headers may pass; `headers` finds names in any case."""
    if not is_from_here(headers, port):
        return "forbidden"
    scheme, _, shown = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_same(shown.strip(), token):
        return "unauthorized"
    return "allowed"


def judge_page(
    method: str, headers: Mapping[str, str], port: int, csrf: str, shown: str
) -> Verdict:
    """Whether a browser with a session may have this; `shown` is the word that it brought.

    Reading needs that no other site asks (a page on another port of this machine is one). Changing
    also needs our own page as its origin, and the session's word.
    """
    if not is_from_here(headers, port):
        return "forbidden"
    site = headers.get("Sec-Fetch-Site", "same-origin").lower()
    if method in _ONLY_READS:
        return "allowed" if site in {"same-origin", "none"} else "forbidden"
    is_ours = headers.get("Origin", "").lower() == f"http://{headers['Host'].lower()}"
    if site != "same-origin" or not is_ours or not is_same(shown, csrf):
        return "forbidden"
    return "allowed"


def is_from_here(headers: Mapping[str, str], port: int) -> bool:
    """Whether a program of this machine asks, and no web page under a name of its own."""
    names = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
    if headers.get("Host", "").lower() not in names:
        return False
    origin = headers.get("Origin")
    return origin is None or origin.lower() in {f"http://{name}" for name in names}


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of them."""
    # Bytes: compare_digest refuses text beyond ASCII, which anybody could send.
    return hmac.compare_digest(
        one.encode(errors="surrogateescape"), other.encode(errors="surrogateescape")
    )
