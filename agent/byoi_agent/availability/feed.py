"""Fetches one forecast, from the file or the URL that the owner wrote and from nowhere else."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from byoi_agent.availability.forecast_forms import UnfitForecast, read
from byoi_agent.config.addresses import without_secrets
from byoi_agent.errors import ConfigError
from byoi_agent.identity.console_http import printable, trust_of

if TYPE_CHECKING:
    from byoi_agent.availability.forecast import Forecast

READ_SECONDS: Final = 20.0
READ_LIMIT_BYTES: Final = 4 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_OK: Final = 200

FileStamp = tuple[int, int, int]


class FeedUnread(Exception):
    """There is no forecast now; the text completes "the forecast cannot be read: "."""


def is_web(source: str) -> bool:
    """Whether a source is a URL; else it is a file."""
    return source.startswith(("http://", "https://"))


def shown(source: str) -> str:
    """A source for people: without the password and the query, which may hold a key."""
    if not is_web(source):
        return source
    parts = urlsplit(source)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def stamp_of(source: str) -> FileStamp | None:
    """What changes when a file does; None of a URL, and of a file that is not there."""
    if is_web(source):
        return None
    try:
        facts = Path(source).expanduser().stat()
    except (OSError, RuntimeError, ValueError):
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


async def fetch(source: str, ca_file: Path | None = None) -> Forecast:
    """The forecast that is there now.

    Raises:
        FeedUnread: it cannot be reached in time, is too large, redirects, or is in no known form.
    """
    content = await (_from_web(source, ca_file) if is_web(source) else _from_file(source))
    try:
        # A large one takes a while; what is served meanwhile goes on.
        return await asyncio.to_thread(_understood, content)
    except (ValueError, OverflowError) as unfit:  # whatever it has must not end the node
        raise FeedUnread(printable(str(unfit))) from unfit


def _understood(content: bytes) -> Forecast:
    try:
        return read(content.decode())
    except UnicodeDecodeError as error:
        raise UnfitForecast("it is no text in UTF-8") from error


async def _from_file(source: str) -> bytes:
    return await asyncio.to_thread(_file_content, source)


def _file_content(source: str) -> bytes:
    try:
        # Without waiting: a pipe that nobody writes to would hold the thread for ever.
        descriptor = os.open(Path(source).expanduser(), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FeedUnread("it is not a plain file")
            content = file.read(READ_LIMIT_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:
        raise FeedUnread(getattr(error, "strerror", None) or str(error)) from error
    return _bounded(content)


async def _from_web(source: str, ca_file: Path | None) -> bytes:
    import aiohttp  # noqa: PLC0415 a third of a second that only nodes with such a feed need

    limit = aiohttp.ClientTimeout(total=READ_SECONDS)
    try:
        trust = trust_of(ca_file) if source.startswith("https:") else True
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True) as session,
            # The owner has named this address and no other.
            session.get(source, ssl=trust, allow_redirects=False) as response,
        ):
            _check_status(response.status, response.headers.get("location"))
            content = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                content += chunk
                _bounded(content)
            return bytes(content)
    except TimeoutError as error:
        raise FeedUnread(f"it did not come within {READ_SECONDS:.0f} s") from error
    except (aiohttp.ClientError, ConfigError, OSError, ValueError) as error:
        told = without_secrets(" ".join(str(error).split()))
        raise FeedUnread(printable(told) or type(error).__name__) from error


def _check_status(status: int, location: str | None) -> None:
    if location is not None and status // 100 == 3:  # noqa: PLR2004 RFC 9110, 15.4
        raise FeedUnread(
            f"it redirects to {shown(location)[:200]}, which is not followed: "
            "name that address itself if you trust it"
        )
    if status != _OK:
        raise FeedUnread(f"the server answered {status}")


def _bounded(content: bytes | bytearray) -> bytes:
    if len(content) > READ_LIMIT_BYTES:
        raise FeedUnread(f"it is larger than {READ_LIMIT_BYTES // 1024**2} MiB")
    return bytes(content) if isinstance(content, bytearray) else content
