"""Where an engine listens, and how to get a connection to it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from byoi_agent.errors import ConfigError, EngineAbsent, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class EngineAddress:
    """A base URL taken apart; `api_key` goes to an engine of somebody else's that wants one."""

    url: str
    socket_path: str | None = None
    host: str = "engine"
    port: int = 0
    tls: bool = False
    prefix: str = ""
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, api_key: str | None = None) -> EngineAddress:
        """Read `unix:///path`, `http://host[:port][/prefix]` or `https://…`; a final /v1 is ours.

        Raises:
            ConfigError: it is none of these.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ConfigError(f"{url!r} is no engine's address: {error}") from error
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return cls(url, socket_path=parts.path, api_key=api_key)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{url!r} is no engine's address: give http://HOST:PORT/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError("an engine's address holds no user, password, query or fragment")
        tls = parts.scheme == "https"
        try:
            port = parts.port or (443 if tls else 80)
        except ValueError as error:
            raise ConfigError(f"{url!r} is no engine's address: its port is wrong") from error
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        return cls(url, None, parts.hostname, port, tls, prefix, api_key)

    @property
    def is_local(self) -> bool:
        """Whether it is on this very machine for sure: by a unix socket, or on loopback."""
        if self.socket_path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def headers(self) -> dict[str, str]:
        """What every request to this address carries."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        headers = {"host": f"{host}:{self.port}" if self.port else host}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key}"
        return headers

    async def connect(self, protocol: Callable[[], _Protocol]) -> _Protocol:
        """One new connection.

        Raises:
            EngineAbsent: nobody listens there.
            EngineError: nobody answers within a few seconds, or there is no way there.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if self.socket_path is not None:
                    return (await loop.create_unix_connection(protocol, self.socket_path))[1]
                context = ssl.create_default_context() if self.tls else None
                pair = await loop.create_connection(protocol, self.host, self.port, ssl=context)
                return pair[1]
        except TimeoutError as error:
            raise EngineError(f"{self.url} does not take connections") from error
        except OSError as error:
            # Of several addresses of one name asyncio tells all failures in one, without a number.
            is_one_of_many = type(error) is OSError and error.errno is None
            is_absent = is_one_of_many or isinstance(
                error, ConnectionRefusedError | FileNotFoundError
            )
            fault = EngineAbsent if is_absent else EngineError
            raise fault(f"cannot connect to {self.url}: {error}") from error
