"""Whom a request came from where proxies stand in front: their word counts, nobody else's."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_console.gateway.http1 import Request

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOPS_LIMIT: Final = 32
"""Addresses of one X-Forwarded-For that are looked at, from its end."""


class Origin(NamedTuple):
    """Where a request came from; `scheme` is None where no proxy has said it."""

    peer: str
    scheme: str | None


class Proxies:
    """The proxies that an operator trusts; without any, headers about the way mean nothing.

    Each proxy on the way puts the address that it was called from at the end of X-Forwarded-For.
    Read from that end, addresses of trusted proxies are passed over; the first other one is the
    peer, since whatever stands before it may have been made up by the peer itself.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def origin_of(self, peer: str, request: Request) -> Origin:
        """The peer of a connection, or the one for whom a trusted proxy speaks."""
        if not self._networks or not self._trusts(peer):
            return Origin(peer, None)
        hops = _values(request, b"x-forwarded-for")[-_HOPS_LIMIT:]
        protocols = _values(request, b"x-forwarded-proto")
        scheme = protocols[-1].lower() if protocols else None
        return Origin(self._first_stranger(peer, hops), scheme if _is_web(scheme) else None)

    def _first_stranger(self, peer: str, hops: Sequence[str]) -> str:
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                return peer  # "unknown", or a made-up name: the proxy before it is all we know
            peer = str(address)
            if not self._contains(address):
                return peer
        return peer

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and self._contains(address)

    def _contains(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _values(request: Request, name: bytes) -> list[str]:
    """A list header's values in their order, also where it came as several lines."""
    lines = [value.decode("latin-1") for key, value in request.headers if key == name]
    return [part.strip() for part in ",".join(lines).split(",") if part.strip()]


def _address(text: str) -> Address | None:
    """An address as proxies write it: bare, with a port, or IPv6 in brackets."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that takes both families shows IPv4 peers as ::ffff:192.0.2.7.
    return getattr(address, "ipv4_mapped", None) or address


def _is_web(scheme: str | None) -> bool:
    return scheme in {"http", "https"}
