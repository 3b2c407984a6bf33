"""From the console's address, as a person types it, to the link's."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from byoi_agent.errors import ConfigError

CONNECT_PATH: Final = "/agent/v1/connect"
_SCHEMES: Final = {"https": "wss", "http": "ws"}


def link_url(console_url: str) -> str:
    """The websocket's address at a console.

    Raises:
        ConfigError: no http(s) address, or plain http beyond this machine.
    """
    parts = urlsplit(console_url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ConfigError(
            f"{console_url!r} is no console address; it looks like https://console.example"
        )
    if scheme == "ws" and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{console_url} would carry everything unencrypted; "
            "plain http is for a console on this machine only, use https"
        )
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + CONNECT_PATH, "", ""))


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine for certain."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
