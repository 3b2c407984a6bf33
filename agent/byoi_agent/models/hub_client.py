"""Asks a hub, by huggingface_hub: its addresses, its headers and token, its errors, its client.

What it is asked for is bounded and checked here. Files come by `transfer`, since the library's own
download begins anew after every interruption.
"""

from __future__ import annotations

import json
import os
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote, urlsplit

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_async_session, hf_raise_for_status

from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.names import is_commit
from byoi_agent.models.selection import RemoteFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TransportError: Final[type[Exception]] = HfHubHTTPError.__bases__[0]
"""What the client (httpx2) raises when the line breaks, stalls or talks nonsense."""

_LISTING_BYTES: Final = 64_000_000
_LISTED_FILES: Final = 100_000
_LARGEST_FILE_BYTES: Final = 1 << 50
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_UNAUTHORISED: Final = frozenset({401, 403})


class HubRefused(ConfigError):
    """The hub says no, and will say it again: wrong name, no access; the message has the mend."""


class HubUnreachable(AgentError):
    """The hub does not answer, or breaks off again and again; later it may work.

    Attributes:
        retry_after_seconds: the hub's own wish, where it has one.
    """

    exit_code = 69

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


def is_offline() -> bool:
    """Whether the machine's owner has told huggingface_hub to stay off the network."""
    return constants.HF_HUB_OFFLINE


class Hub:
    """One hub, asked over one client."""

    def __init__(self, client: Any, endpoint: str) -> None:  # noqa: ANN401 httpx2's, a guest here
        self._client = client
        self.endpoint = endpoint
        self._headers = build_hf_headers(
            token=None if _may_have_token(endpoint) else False, library_name="byoi"
        )

    async def listing(self, repo: str, revision: str | None, seconds: float) -> Listing:
        """A repository's files at a revision, pinned to its commit.

        Raises:
            HubRefused: there is none such, or it is not for us.
            HubUnreachable: no answer, or none that can be used.
        """
        path = f"/revision/{quote(revision, safe='')}" if revision else ""
        url = f"{self.endpoint}/api/models/{repo}{path}?blobs=true"
        try:
            async with self.get(url, {}, seconds) as response:
                await refuse_error(response, repo, revision)
                content = await _bounded(response)
        except (TransportError, OSError) as error:
            raise HubUnreachable(
                f"{self.endpoint} does not answer: {error or type(error).__name__}; check the "
                "network and HTTPS_PROXY, or name another hub with HF_ENDPOINT"
            ) from error
        return _listing(repo, content, self.endpoint)

    def file_url(self, repo: str, commit: str, name: str) -> str:
        """Where a file is to be had."""
        return hf_hub_url(repo, name, revision=commit, endpoint=self.endpoint)

    @asynccontextmanager
    async def get(self, url: str, headers: dict[str, str], seconds: float) -> AsyncIterator[Any]:
        """A response whose body is still to come; `seconds` bounds each wait for some of it.

        The token does not follow a redirection to another host.
        """
        asked = {**self._headers, "accept-encoding": "identity", **headers}
        async with self._client.stream("GET", url, headers=asked, timeout=seconds) as response:
            yield response

    def is_own(self, url: object) -> bool:
        """Whether an address is the hub's, rather than of those that hold files for it."""
        return urlsplit(str(url)).netloc == urlsplit(self.endpoint).netloc


@asynccontextmanager
async def open_hub(endpoint: str | None, ca_file: Path | None) -> AsyncIterator[Hub]:
    """The hub of the settings, else of HF_ENDPOINT, else huggingface.co.

    Proxies are those of the usual variables (HTTPS_PROXY, NO_PROXY, …).

    Raises:
        ConfigError: the file of certificates is none.
    """
    client: Any = get_async_session()
    if ca_file is not None:
        # The library's own client has no place for it: another of the same kind, with its hooks.
        hooks = client.event_hooks
        await client.aclose()
        client = type(client)(
            event_hooks=hooks, follow_redirects=True, timeout=None, verify=_trust(ca_file)
        )
    async with client:
        yield Hub(client, (endpoint or constants.ENDPOINT).rstrip("/"))


async def refuse_error(response: Any, repo: str, revision: str | None = None) -> None:  # noqa: ANN401 httpx2's
    """Raise what an answer that is none means.

    Raises:
        HubRefused: asking again changes nothing.
        HubUnreachable: it may.
    """
    if response.status_code < 400:  # noqa: PLR2004 HTTP's errors begin there
        return
    try:
        hf_raise_for_status(response)
    except GatedRepoError as error:
        raise HubRefused(
            f"{repo} is given only to those who accepted its terms: accept them on "
            f"{_page(response, repo)}, then set HF_TOKEN to a token of that account"
        ) from error
    except DisabledRepoError as error:
        raise HubRefused(f"{repo} was taken off the hub") from error
    except RepositoryNotFoundError as error:
        raise HubRefused(
            f"the hub has no model {repo}, or it is private: check the name, or set HF_TOKEN to "
            "the token of an account that may see it"
        ) from error
    except RevisionNotFoundError as error:
        raise HubRefused(f"{repo} has no revision {revision!r}; leave it out for main") from error
    except HfHubHTTPError as error:
        _refuse(response, repo, error)


def _refuse(response: Any, repo: str, error: Exception) -> NoReturn:  # noqa: ANN401 httpx2's
    status = int(response.status_code)
    if status in _UNAUTHORISED:
        raise HubRefused(
            f"the hub does not give {repo} to us ({status}): set HF_TOKEN to the token of an "
            "account that may have it"
        ) from error
    raise HubUnreachable(
        f"the hub answered {status} for {repo}", retry_after(response.headers)
    ) from error


def retry_after(headers: Any) -> float | None:  # noqa: ANN401 httpx2's
    """How long the hub wishes to be left alone, in seconds; None where it does not say."""
    text = str(headers.get("retry-after", ""))
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None  # noqa: PLR2004 a day


def _page(response: Any, repo: str) -> str:  # noqa: ANN401 httpx2's
    parts = urlsplit(str(response.url))
    return f"{parts.scheme}://{parts.netloc}/{repo}"


async def _bounded(response: Any) -> Any:  # noqa: ANN401 JSON from outside
    raw = bytearray()
    async for chunk in response.aiter_bytes():
        raw += chunk
        if len(raw) > _LISTING_BYTES:
            raise HubRefused("the hub lists more files than any model has")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HubUnreachable("the hub's list of files is no JSON") from error


def _listing(repo: str, content: Any, endpoint: str) -> Listing:  # noqa: ANN401 JSON from outside
    commit = content.get("sha") if isinstance(content, dict) else None
    siblings = content.get("siblings") if isinstance(content, dict) else None
    if not is_commit(commit) or not isinstance(siblings, list):
        raise HubUnreachable(f"{endpoint} does not list files as a hub does")
    if len(siblings) > _LISTED_FILES:
        raise HubRefused(f"{repo} lists {len(siblings)} files, so it is no model to serve")
    return Listing(repo, str(commit), tuple(_file(repo, one) for one in siblings))


def _file(repo: str, entry: Any) -> RemoteFile:  # noqa: ANN401 JSON from outside
    """Large files have a SHA-256, others git's name of their content."""
    entry = entry if isinstance(entry, dict) else {}
    lfs = entry.get("lfs")
    name, size = entry.get("rfilename"), entry.get("size")
    if isinstance(lfs, dict):
        size, digest = lfs.get("size", size), lfs.get("sha256", lfs.get("oid"))
    else:
        digest = entry.get("blobId")
    is_known = isinstance(digest, str) and digest.isascii() and digest.isalnum()
    if not isinstance(name, str) or not isinstance(size, int) or not is_known:
        raise HubRefused(f"the hub names no size or no digest for a file of {repo} ({name!r:.80})")
    if not 0 <= size <= _LARGEST_FILE_BYTES or len(str(digest)) != (64 if lfs else 40):
        raise HubRefused(f"the hub's size or digest of {name!r:.80} in {repo} cannot be")
    return RemoteFile(name, size, "sha256" if lfs else "git-sha1", str(digest).lower())


def _may_have_token(endpoint: str) -> bool:
    """A token goes over no line that others can read."""
    parts = urlsplit(endpoint)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _trust(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if (named := os.environ.get("SSL_CERT_FILE")) is not None:
        context.load_verify_locations(cafile=named)
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--ca-file {ca_file} holds no certificates: {error}") from error
    return context
