"""Who may ask the local /v1, and for what; pure.

Any program and any web page on this machine can reach a loopback port. Host and Origin tell a
program from a page, also from one whose name was rebound to 127.0.0.1, and a body that must be
declared as JSON is nothing that a page may send without asking first, which nobody answers.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_wire.requests import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS: Final = "/v1/models"

_HERE: Final = ("127.0.0.1", "localhost", "[::1]")
_FROM_CONTAINERS: Final = ("host.docker.internal", "host.containers.internal")
"""What a container calls its host; no page can be served under such a name."""

_FETCHED_BY_NOBODY: Final = frozenset({None, "none"})
"""`Sec-Fetch-Site` of programs, and of an address that a person typed."""


class Refusal(NamedTuple):
    """Why a request is not looked at any further, as OpenAI's error says it."""

    status: int
    message: str
    code: str
    headers: Mapping[str, str] = {}


def refusal(
    method: str, path: str, headers: Mapping[str, str], *, port: int, key: str | None
) -> Refusal | None:
    """None where the request may pass; `headers` finds names in any case.

    The order matters: a page learns nothing of what is here, and nobody without the key either.
    """
    if not is_from_programs(headers, port):
        return Refusal(403, _FOR_PROGRAMS, "not_a_local_program")
    if not _is_known(headers, key):
        told = {"WWW-Authenticate": "Bearer"}
        return Refusal(401, "Give the key of this node's local API.", "invalid_api_key", told)
    if (allowed := method_of(path)) is None:
        return Refusal(404, f"Invalid URL ({method} {path[:200]})", "unknown_url")
    if method != allowed:
        message = f"Not allowed to {method} on {path[:200]}. Allowed: {allowed}."
        return Refusal(405, message, "method_not_supported", {"Allow": allowed})
    return _unfit_body(headers) if method == "POST" else None


def is_from_programs(headers: Mapping[str, str], port: int) -> bool:
    """Whether a program of this machine asks, and no web page."""
    names = {f"{name}:{port}" for name in (*_HERE, *_FROM_CONTAINERS)}
    if headers.get("Host", "").lower() not in names:
        return False
    return "Origin" not in headers and headers.get("Sec-Fetch-Site") in _FETCHED_BY_NOBODY


def method_of(path: str) -> str | None:
    """How this path is asked; None where nothing is there."""
    if path in ROUTES:
        return "POST"
    is_list = path == MODELS or (path.startswith(f"{MODELS}/") and len(path) > len(MODELS) + 1)
    return "GET" if is_list else None


_FOR_PROGRAMS: Final = (
    "This is for programs of this machine, under 127.0.0.1, localhost or [::1]; web pages may not "
    "ask. A page's own server may."
)


def _is_known(headers: Mapping[str, str], key: str | None) -> bool:
    if key is None:
        return True
    scheme, _, shown = headers.get("Authorization", "").partition(" ")
    # Bytes: compare_digest refuses text beyond ASCII, which anybody could send.
    told = shown.strip().encode(errors="surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(told, key.encode())


def _unfit_body(headers: Mapping[str, str]) -> Refusal | None:
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = "The body must be JSON, and its Content-Type application/json."
        return Refusal(415, message, "unsupported_media_type")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return Refusal(415, "The body must not be compressed.", "unsupported_media_type")
    return None
