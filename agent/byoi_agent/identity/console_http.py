"""One question to a console over HTTP: for enrolment, rotation, leaving, and its list of nodes."""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from byoi_agent.errors import ConfigError, IdentityError, LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiohttp import ClientResponse
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CALL_SECONDS: Final = 20.0
ANSWER_LIMIT_BYTES: Final = 64 * 1024

NAME_PATTERN: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
"""How a console may call a node or a key: both are shown in terminals."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_RETRY_LIMIT_SECONDS: Final = 3600.0
_WORDS_LIMIT: Final = 300
_NOT_READY: Final = 503

_Model = TypeVar("_Model", bound=BaseModel)


class AnswerLost(LinkError):
    """The console was reached, and its answer never came: it may have done what it was asked."""


class _Error(BaseModel):
    message: str


class _Refusal(BaseModel):
    error: _Error


class Reply(NamedTuple):
    """What a console answered; `retry_after_seconds` is its hint, an hour at most."""

    status: int
    text: bytes
    retry_after_seconds: float | None = None

    @property
    def words(self) -> str | None:
        """The message of OpenAI's error object, or none; at most one line of a stranger's text."""
        try:
            return printable(_Refusal.model_validate_json(self.text).error.message)
        except ValidationError:
            return None


@dataclass(frozen=True)
class ConsoleHttp:
    """A console's HTTP door; `base` is a URL that `checked_console_url` let through."""

    base: str
    ca_file: Path | None = None
    _sent: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def was_asked(self) -> bool:
        """Whether a question has begun to leave this machine: the console may have heard it."""
        return bool(self._sent)

    async def post(self, path: str, body: Mapping[str, object]) -> Reply:
        """One request; a redirect is an answer like any other, and never followed.

        Raises:
            ConfigError: `ca_file` cannot be used.
            IdentityError: the console's certificate is not trusted.
            LinkError: the console cannot be reached now; `AnswerLost` once it had the question.
        """
        return await self._ask("POST", path, ANSWER_LIMIT_BYTES, json=dict(body))

    async def get(self, path: str, api_key: str, limit_bytes: int) -> Reply:
        """Read something that an API key may; what is beyond the limit is not read.

        Raises:
            As `post`.
        """
        headers = {"Authorization": f"Bearer {api_key}"}
        return await self._ask("GET", path, limit_bytes, headers=headers)

    async def _ask(self, method: str, path: str, limit_bytes: int, **what: Any) -> Reply:  # noqa: ANN401 aiohttp's own
        import aiohttp  # noqa: PLC0415 a third of a second that only this call needs

        limit = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=CALL_SECONDS / 2)
        never_asked = (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientHttpProxyError,
        )
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._note_sent)  # once connected, before it is sent
        trust = trust_of(self.ca_file) if self.base.startswith("https:") else True
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=limit, trust_env=True, trace_configs=[trace]
                ) as session,
                # A redirect could carry a token to somebody else.
                session.request(
                    method, self.base + path, ssl=trust, allow_redirects=False, **what
                ) as response,
            ):
                text = await _body_of(response, limit_bytes)
                return Reply(response.status, text, _seconds(response.headers.get("retry-after")))
        except aiohttp.ClientConnectorCertificateError as error:
            raise IdentityError(
                f"the certificate of {self.base} is not trusted: {error.certificate_error}; "
                "set BYOI_CA_FILE if it is your company's own"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            # It may quote what the other side said, over several lines.
            reason = printable(" ".join(str(error).split())) or type(error).__name__
            raise (LinkError if isinstance(error, never_asked) else AnswerLost)(
                f"the console at {self.base} cannot be reached: {reason}", retry=True
            ) from error

    async def _note_sent(self, *what: Any) -> None:  # noqa: ANN401 aiohttp's own
        if not self._sent:
            self._sent.append(what[-1].method)

    def understand(self, reply: Reply, answer: type[_Model], doing: str) -> _Model:
        """The answer; `doing` completes "the console refused to …".

        Raises:
            IdentityError: the console refused for good, or is no byoi console.
            LinkError: not now.
        """
        if reply.status not in {200, 201}:
            self.refuse(reply, doing)
        try:
            return answer.model_validate_json(reply.text)
        except ValidationError as error:
            raise IdentityError(f"{self.base} answers, but not like a byoi console") from error

    def refuse(self, reply: Reply, doing: str) -> NoReturn:
        """Say what the console's no means. Raises as `understand`."""
        hint = reply.retry_after_seconds
        match reply.status:
            case 400 | 401 | 403 | 404 | 409 | 410 if reply.words:
                raise IdentityError(f"the console refused to {doing}: {reply.words}")
            case 429:
                raise LinkError(
                    "the console has had too many tries; wait a minute",
                    retry=True,
                    retry_after_seconds=hint,
                )
            case 502 | 503 | 504:
                # A proxy says 502 and 504 also where the console has done it and was not heard.
                was_asked = reply.status != _NOT_READY
                raise (AnswerLost if was_asked else LinkError)(
                    f"the console at {self.base} is not ready ({reply.status}); try again",
                    retry=True,
                    retry_after_seconds=hint,
                )
            case _:
                raise IdentityError(
                    f"{self.base} answered {reply.status} when asked to {doing}; "
                    "is it a byoi console?"
                )


def checked_console_url(url: str) -> str:
    """The console's base URL without a closing slash, nor the `/v1` that clients are given.

    Raises:
        ConfigError: it is no URL, or plain HTTP to another machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"--console {url!r} is no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError(f"--console {url!r} is no URL; it looks like https://console.example")
    if parts.username or parts.query or parts.fragment:
        raise ConfigError("--console takes scheme, host, port and path only")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ConfigError(
            f"{host} is another machine, so the console's URL must begin with https://"
        )
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def signed(key: Ed25519PrivateKey, tag: bytes, *parts: bytes) -> str:
    """Base64 of the signature over a tag and these parts, a zero byte before each of them."""
    return base64.b64encode(key.sign(b"\x00".join((tag, *parts)))).decode()


def printable(text: str) -> str:
    """One line of a stranger's text, safe for a terminal."""
    return "".join(c for c in text if c.isprintable())[:_WORDS_LIMIT]


def trust_of(ca_file: Path | None) -> ssl.SSLContext:
    """Whom a call over TLS believes: the system's certificates, and these of the owner.

    Raises:
        ConfigError: `ca_file` cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
    return context


async def _body_of(response: ClientResponse, limit_bytes: int) -> bytes:
    """All of it, in however many pieces it comes, up to what such an answer needs."""
    body = bytearray()
    while len(body) < limit_bytes:
        if not (piece := await response.content.read(limit_bytes - len(body))):
            break
        body += piece
    return bytes(body)


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None or not re.fullmatch("[0-9]{1,9}", retry_after):
        return None
    return min(float(retry_after), _RETRY_LIMIT_SECONDS)
