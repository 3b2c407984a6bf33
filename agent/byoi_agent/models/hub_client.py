"""Asks a hub, by huggingface_hub: its addresses, its headers and token, its errors, its client.

What it is asked for is bounded and checked here. Files come by `transfer`, since the library's own
download begins anew after every interruption.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from contextlib import asynccontextmanager
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

from byoi_agent.errors import ConfigError
from byoi_agent.models.hub_errors import HubRefused, HubUnreachable
from byoi_agent.models.listing import Listing, of_headers, of_list, of_tree, told
from byoi_agent.models.selection import RemoteFile, is_of_use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from byoi_agent.models.listing import Told

TransportError: Final[type[Exception]] = HfHubHTTPError.__bases__[0]
"""What the client (httpx2) raises when the line breaks, stalls or talks nonsense."""

_DEFAULT_HUB: Final = "https://huggingface.co"
_LISTING_BYTES: Final = 64_000_000
_TREE_PAGES: Final = 100
_ASKED_AT_ONCE: Final = 8
_ASKED_ONE_BY_ONE: Final = 2000
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_AS_IT_IS: Final = {"accept-encoding": "identity"}
_UNAUTHORISED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404


def is_offline() -> bool:
    """Whether the machine's owner has told huggingface_hub to stay off the network."""
    return constants.HF_HUB_OFFLINE


class HubMissing(HubRefused):
    """The hub has nothing of that name."""


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
        models = f"{self.endpoint}/api/models/{repo}"
        path = f"/revision/{quote(revision, safe='')}" if revision else ""
        try:
            try:
                content, _ = await self._json(f"{models}{path}?blobs=true", repo, revision, seconds)
            except HubMissing:
                if revision:
                    raise
                # A mirror may know revisions alone.
                content, _ = await self._json(f"{models}/revision/main", repo, None, seconds)
            commit, named = of_list(repo, content, self.endpoint)
            found = [(name, told(repo, one, "rfilename", "blobId")) for name, one in named]
            if any(file is None for _, file in found):
                tree = await self._tree(f"{models}/tree/{commit}", repo, seconds)
                found = [(name, file or tree.get(name)) for name, file in found]
            files = await self._asked_one_by_one(repo, commit, found, seconds)
        except (TransportError, OSError) as error:
            raise HubUnreachable(
                f"{self.endpoint} does not answer: {error or type(error).__name__}; check the "
                "network and HTTPS_PROXY, or name another hub with HF_ENDPOINT"
            ) from error
        return Listing(repo, commit, tuple(files))

    async def _json(
        self, url: str, repo: str, revision: str | None, seconds: float
    ) -> tuple[Any, str | None]:
        """What lies at an address, and where it goes on."""
        async with self.get(url, {}, seconds) as response:
            await refuse_error(response, repo, revision)
            following = response.links.get("next", {}).get("url")
            return await _bounded(response), following

    async def _tree(self, url: str, repo: str, seconds: float) -> Told:
        """Sizes and digests where the list has none; nothing where the hub has no tree."""
        found: Told = {}
        following: str | None = f"{url}?recursive=true"
        for _ in range(_TREE_PAGES):
            # The same line too, not only the same host: the token goes along.
            if following is None or _origin(following) != _origin(self.endpoint):
                break
            try:
                content, following = await self._json(following, repo, None, seconds)
            except (HubRefused, HubUnreachable):
                break
            found |= of_tree(repo, content)
        return found

    async def _asked_one_by_one(
        self, repo: str, commit: str, found: list[tuple[str, RemoteFile | None]], seconds: float
    ) -> list[RemoteFile]:
        """All of them, with what the hub tells of each where nothing else did."""
        turns = asyncio.Semaphore(_ASKED_AT_ONCE)
        open_ones = [name for name, file in found if file is None and is_of_use(name)]
        if len(open_ones) > _ASKED_ONE_BY_ONE:
            raise HubRefused(f"the hub names no sizes for the {len(open_ones)} files of {repo}")

        async def ask(name: str) -> RemoteFile:
            async with turns:
                url = self.file_url(repo, commit, name)
                # The length of the file itself counts, as it will come.
                headers = {**self._headers, **_AS_IT_IS}
                head = await self._client.head(url, headers=headers, timeout=seconds)
                await refuse_error(head, repo)
                return of_headers(repo, name, [one.headers for one in (*head.history, head)])

        asked: dict[str, asyncio.Task[RemoteFile]] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                for name in open_ones:
                    asked[name] = tasks.create_task(ask(name), name=f"ask for {name}")
        except* (HubRefused, HubUnreachable, TransportError, OSError) as group:
            failed = group.exceptions[0]
        else:
            return [
                file or (asked[name].result() if name in asked else RemoteFile.unwanted(name))
                for name, file in found
            ]
        raise failed

    def file_url(self, repo: str, commit: str, name: str) -> str:
        """Where a file is to be had."""
        return hf_hub_url(repo, name, revision=commit, endpoint=self.endpoint)

    @asynccontextmanager
    async def get(self, url: str, headers: dict[str, str], seconds: float) -> AsyncIterator[Any]:
        """A response whose body is still to come; `seconds` bounds each wait for some of it.

        The token does not follow a redirection to another host.
        """
        asked = {**self._headers, **_AS_IT_IS, **headers}
        async with self._client.stream("GET", url, headers=asked, timeout=seconds) as response:
            yield response

    def is_own(self, url: object) -> bool:
        """Whether an address is the hub's, rather than of those that hold files for it."""
        return _origin(str(url))[1] == _origin(self.endpoint)[1]


@asynccontextmanager
async def open_hub(endpoint: str | None, ca_file: Path | None) -> AsyncIterator[Hub]:
    """The hub of the settings, else of HF_ENDPOINT, else huggingface.co.

    Proxies are those of the usual variables (HTTPS_PROXY, NO_PROXY, …).

    Raises:
        ConfigError: the file of certificates is none, or the hub's address.
    """
    address = (endpoint or constants.ENDPOINT or _DEFAULT_HUB).rstrip("/")
    if not address.lower().startswith(("http://", "https://")) or not urlsplit(address).hostname:
        raise ConfigError(
            f"HF_ENDPOINT (or the setting hub) is {address!r}, which is no address; "
            f"it looks like {_DEFAULT_HUB}"
        )
    client: Any = get_async_session()
    if ca_file is not None:
        # The library's own client has no place for it: another of the same kind, with its hooks.
        hooks = client.event_hooks
        await client.aclose()
        client = type(client)(
            event_hooks=hooks, follow_redirects=True, timeout=None, verify=_trust(ca_file)
        )
    async with client:
        yield Hub(client, address)


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
        raise HubMissing(
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
    if status == _NOT_FOUND:  # a mirror's, which does not say what is missing
        raise HubMissing(
            f"the hub has no model {repo} of that revision: check both on {_page(response, repo)}"
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


def _origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port; empty where it is no URL."""
    try:
        parts = urlsplit(url if url.isprintable() else "")
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc


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
