"""Brings files of the index: from the web, also through a proxy, or from a folder."""

from __future__ import annotations

import http.client
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface

from byoi_agent.identity.console_http import trust_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SILENCE_SECONDS: Final = 30.0
"""Longest wait for a connection, and between two pieces."""

SLOWEST_BYTES_PER_SECOND: Final = 4096.0
"""Whoever sends less than this on average, after `SILENCE_SECONDS`, keeps a node from updating."""

NOT_FOUND: Final = 404
_CHUNK_BYTES: Final = 256 * 1024


class Fetcher(FetcherInterface):
    """What is fetched is kept in `folder` until it is checked: `/tmp` may be memory.

    `http_proxy`, `https_proxy` and `no_proxy` of the environment are heeded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ca_file: Path | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._silence_seconds = silence_seconds
        self._now = now
        trust = urllib.request.HTTPSHandler(context=trust_of(ca_file))
        self._opener = urllib.request.build_opener(trust)

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            response = self._opener.open(url, timeout=self._silence_seconds)
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadHTTPError(f"HTTP {error.code} for {url}", error.code) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, FileNotFoundError):  # of a folder
                raise DownloadHTTPError(f"there is no {url}", NOT_FOUND) from error
            raise _told(url, error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise _told(url, error) from error
        return self._pieces(url, response)

    def _pieces(self, url: str, response: IO[bytes]) -> Iterator[bytes]:
        since, count = self._now(), 0
        with response:
            while piece := self._piece(url, response):
                count += len(piece)
                seconds = self._now() - since
                if seconds > self._silence_seconds and count < seconds * SLOWEST_BYTES_PER_SECOND:
                    raise SlowRetrievalError(f"{url}: {count} bytes in {seconds:.0f} seconds")
                yield piece

    @staticmethod
    def _piece(url: str, response: IO[bytes]) -> bytes:
        try:
            # One read of the socket: a slow sender shall be noticed before a whole piece is there.
            read = getattr(response, "read1", response.read)
            piece: bytes = read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _told(url, error) from error
        return piece

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """A file as it came, of at most so many bytes; gone again when the context ends."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            count = 0
            for piece in self.fetch(url):
                count += len(piece)
                if count > max_length:
                    raise DownloadLengthMismatchError(f"{url} is larger than {max_length} bytes")
                file.write(piece)
            file.seek(0)
            yield file


def _told(url: str, error: object) -> DownloadError:
    if isinstance(error, TimeoutError):
        return SlowRetrievalError(f"no answer in time from {url}")
    return DownloadError(f"{url}: {error}")
