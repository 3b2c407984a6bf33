"""One file from a hub to the disk: goes on where it was interrupted, and is proven at the end.

Every answer is held against what was asked: a hub, a proxy or a cache between may send another
part, more, less, or something else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from byoi_agent.errors import AgentError
from byoi_agent.models.digests import digest_of
from byoi_agent.models.hub_client import TransportError, refuse_error, retry_after
from byoi_agent.models.hub_errors import HubRefused, HubUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.models.hub_client import Hub
    from byoi_agent.models.listing import Listing
    from byoi_agent.models.selection import RemoteFile

logger = logging.getLogger(__name__)

_PIECE_BYTES: Final = 8 << 30
"""Asked for at once: caches of hubs give no answer of more than 50 GB."""

_PROGRESS_BYTES: Final = 1 << 18
"""What an answer must bring so that the failures before it are forgotten."""

_LONGEST_WAIT_SECONDS: Final = 300.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_OK, _PARTIAL, _NOT_FOUND, _RANGE_REFUSED = 200, 206, 404, 416


@dataclass(frozen=True)
class Patience:
    """How long a hub is waited for: `stall_seconds` without a byte, `attempts` in a row.

    Waits between them double from `base_seconds` up to `longest_seconds`.
    """

    stall_seconds: float = 30.0
    attempts: int = 8
    base_seconds: float = 1.0
    longest_seconds: float = 30.0

    def wait_seconds(self, failures: int, asked_seconds: float | None) -> float:
        """Before the next attempt; a hub's own wish wins, within reason."""
        own = min(self.longest_seconds, self.base_seconds * 2.0 ** (failures - 1))
        return own if asked_seconds is None else min(max(own, asked_seconds), _LONGEST_WAIT_SECONDS)


class WrongContent(HubRefused):
    """What came, twice, is not what the hub's list says."""


class DiskFull(AgentError):
    """There is no more room; what came is kept."""


class _Broken(Exception):
    """An answer that brought no whole file."""

    def __init__(self, said: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(said)
        self.retry_after_seconds = retry_after_seconds


class _Astray(_Broken):
    """The hub cannot go on from where we are; from the beginning it may."""


class Transfer:
    """Brings files of one listing below a folder.

    `landed` hears of bytes won, or lost again; `proven` of those of a file that were read again for
    its digest, which takes a minute for each 100 GB or so.
    """

    def __init__(
        self,
        hub: Hub,
        listing: Listing,
        patience: Patience,
        landed: Callable[[int], None],
        proven: Callable[[RemoteFile, int], None] = lambda _file, _count: None,
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._patience = patience
        self._landed = landed
        self._proven = proven

    async def bring(self, file: RemoteFile, target: Path) -> None:
        """Have the file at `target`, proven; at once where it is there.

        Raises:
            HubRefused: the hub does not give it, or something else in its place.
            HubUnreachable: it breaks off again and again; what came is kept.
            DiskFull: see there.
        """
        if _size(target) is not None:
            self._landed(file.size_bytes)
            return
        part = target.with_name(target.name + ".part")
        part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        had = _size(part) or 0
        self._landed(had)
        try:
            if had > file.size_bytes:
                self._drop(part)
            await self._bring_proven(file, part)
            part.replace(target)
        except OSError as error:
            raise DiskFull(
                f"{part} cannot be written: {error.strerror}; what came is kept: make room, and "
                "the same command goes on"
            ) from error

    async def _bring_proven(self, file: RemoteFile, part: Path) -> None:
        for is_last in (False, True):
            await self._fill(file, part)
            if await self._is_proven(file, part):
                return
            logger.warning("a file came damaged", extra={"file": file.name, "again": not is_last})
            self._drop(part)
        raise WrongContent(
            f"what came as {file.name} is not what {self._hub.endpoint} lists for "
            f"{self._listing.repo} (its {file.algorithm} differs); nothing of it is kept"
        )

    async def _is_proven(self, file: RemoteFile, part: Path) -> bool:
        """Whether it has the digest that the hub lists."""
        loop = asyncio.get_running_loop()

        def read(count: int) -> None:
            loop.call_soon_threadsafe(self._proven, file, count)

        self._proven(file, 0)
        return await asyncio.to_thread(_has_digest, part, file, read)

    async def _fill(self, file: RemoteFile, part: Path) -> None:
        """Until it is as long as it should be."""
        failures = 0
        best = 0
        while (have := _size(part) or 0) < file.size_bytes:
            best = max(best, have)
            try:
                await self._ask(file, part, have)
            except (_Broken, HubUnreachable) as broken:
                # Only what never came before is progress: else one could send the same for ever.
                gained = (_size(part) or 0) - best
                failures = 1 if gained >= _PROGRESS_BYTES else failures + 1
                await self._wait(file, failures, broken)
                if isinstance(broken, _Astray) and failures > 1:
                    self._drop(part)

    async def _wait(self, file: RemoteFile, failures: int, broken: Exception) -> None:
        if failures >= self._patience.attempts:
            raise HubUnreachable(
                f"{file.name} did not come, {failures} times in a row ({broken}); what came is "
                "kept, and the same command goes on"
            ) from broken
        asked = getattr(broken, "retry_after_seconds", None)
        wait = self._patience.wait_seconds(failures, asked)
        logger.info(
            "download broke off", extra={"file": file.name, "said": str(broken), "wait": wait}
        )
        await asyncio.sleep(wait)

    async def _ask(self, file: RemoteFile, part: Path, have: int) -> None:
        url = self._hub.file_url(self._listing.repo, self._listing.commit, file.name)
        end = min(file.size_bytes, have + _PIECE_BYTES)
        is_whole = have == 0 and end == file.size_bytes
        headers = {} if is_whole else {"range": f"bytes={have}-{end - 1}"}
        try:
            async with self._hub.get(url, headers, self._patience.stall_seconds) as response:
                start, end = await self._judged(response, file, have)
                if start != have:
                    self._drop(part)
                with part.open("ab") as stream:
                    await self._write(response, stream, start, end)
        except TransportError as error:
            raise _Broken(str(error) or type(error).__name__) from error

    async def _judged(self, response: Any, file: RemoteFile, have: int) -> tuple[int, int]:  # noqa: ANN401 httpx2's
        """Where the answer begins in the file, and where it ends.

        Raises:
            _Broken: it is of no use.
            HubRefused: nor will another one be.
        """
        status, is_own = int(response.status_code), self._hub.is_own(response.url)
        if status == _PARTIAL:
            return _range_of(response.headers, file, have)
        if status == _OK:
            return _whole_of(response.headers, file)
        if status == _RANGE_REFUSED:
            raise _Astray(f"the hub has nothing from byte {have} on")
        if status == _NOT_FOUND and is_own:
            raise HubRefused(
                f"{file.name} is not in {self._listing.repo} any more, though it was listed; "
                "see its page on the hub"
            )
        if is_own:
            await refuse_error(response, self._listing.repo)
        # Else of a place that holds files for the hub: its addresses lose their validity.
        raise _Broken(f"{response.url.host} answered {status}", retry_after(response.headers))

    async def _write(self, response: Any, stream: BinaryIO, start: int, end: int) -> None:  # noqa: ANN401 httpx2's
        at = start
        async for chunk in response.aiter_bytes():
            fits = chunk[: end - at]
            # To the system's memory, which takes no time worth a thread.
            stream.write(fits)
            stream.flush()
            at += len(fits)
            self._landed(len(fits))
            if (
                at == end
            ):  # what comes after it is no part of the file; the digest has the last word
                return
        raise _Broken(f"it ended after {at} of {end} bytes")

    def _drop(self, part: Path) -> None:
        self._landed(-(_size(part) or 0))
        part.write_bytes(b"")


def _range_of(headers: Any, file: RemoteFile, have: int) -> tuple[int, int]:  # noqa: ANN401 httpx2's
    found = _CONTENT_RANGE.fullmatch(str(headers.get("content-range", "")))
    if found is None or int(found[1]) != have or headers.get("content-encoding"):
        raise _Astray(f"another part came than the one from byte {have} on")
    if found[3] not in {"*", str(file.size_bytes)} or int(found[2]) >= file.size_bytes:
        raise _Broken(f"the hub says {found[3]} bytes, and lists {file.size_bytes}")
    return have, int(found[2]) + 1


def _whole_of(headers: Any, file: RemoteFile) -> tuple[int, int]:  # noqa: ANN401 httpx2's
    length = headers.get("content-length")
    if length not in {None, str(file.size_bytes)} and not headers.get("content-encoding"):
        raise _Broken(f"the hub sends {length} bytes, and lists {file.size_bytes}")
    return 0, file.size_bytes


def _size(path: Path) -> int | None:
    """None where there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _has_digest(path: Path, file: RemoteFile, on_read: Callable[[int], None]) -> bool:
    """Whether it has the digest that the hub lists; the disk has it for good then."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
        return digest_of(stream, file.algorithm, size, on_read) == file.digest
