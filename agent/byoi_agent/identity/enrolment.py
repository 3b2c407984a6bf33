"""How a machine becomes a console's node: a key, a join token, and what the console answers."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.errors import ConfigError, IdentityError, LinkError
from byoi_agent.identity import stores as key_stores
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.keys import Identity, fingerprint_of, public_key_from, raw_public_key
from byoi_agent.identity.record import EnrolmentRecord, read_record, write_record
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoi_agent.identity.keys import KeyStore

CALL_SECONDS: Final = 20.0
ANSWER_LIMIT_BYTES: Final = 64 * 1024

_TAG: Final = b"byoi-enrol-v1\x00"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    node_id: NodeId
    key_id: KeyId
    console_key: str
    console_key_id: KeyId
    origin: str


class _Error(BaseModel):
    message: str


class _Refusal(BaseModel):
    error: _Error


async def enrol_with_join_token(
    console_url: str,
    token: str,
    *,
    stores: Sequence[KeyStore],
    record_file: Path,
    host: Mapping[str, object],
    ca_file: Path | None = None,
) -> Identity:
    """Make this machine a node of the console; on return the enrolment is on the disk.

    The key is kept before the console hears of it: a crash in between costs a key without a node,
    never a node without its key. An earlier enrolment stays whole until the new one is written.

    Raises:
        ConfigError: the URL cannot be used.
        IdentityError: the console refused, or the key cannot be kept.
        LinkError: the console cannot be reached now.
    """
    base = checked_console_url(console_url)
    previous = read_record(record_file)
    key = _key_for(stores)
    store = key_stores.keep(key, stores)
    try:
        answer = await _redeem(base, token, key, host, ca_file)
        record = EnrolmentRecord(
            node_id=answer.node_id,
            key_id=answer.key_id,
            fingerprint=fingerprint_of(key),
            key_store=store.name,
            console_key=answer.console_key,
            console_key_id=answer.console_key_id,
            origin=answer.origin,
            console_url=base,
        )
        identity = _identity(record, key)
        write_record(record_file, record)
    except BaseException:
        store.delete(fingerprint_of(key))
        raise
    _forget(previous, stores, keep=record.fingerprint)
    return identity


def load_identity(record_file: Path, stores: Sequence[KeyStore]) -> Identity:
    """The node that this machine was enrolled as.

    Raises:
        IdentityError: it was not, or its key is missing; the message says what to type.
    """
    record = read_record(record_file)
    if record is None:
        raise IdentityError("this machine is not enrolled; run: byoi enroll --console URL")
    store = key_stores.named(record.key_store, stores)
    key = store.load(record.fingerprint)
    if key is None:
        raise IdentityError(
            f"the node's private key is gone from the store {store.name!r}; "
            "run: byoi enroll --replace --console " + record.console_url
        )
    return _identity(record, key)


def proof_of(token: str, key: Ed25519PrivateKey) -> str:
    """Base64 of the signature that binds a join token to the key that redeems it."""
    public = raw_public_key(key)
    return base64.b64encode(key.sign(_TAG + token.encode() + b"\x00" + public)).decode()


def checked_console_url(url: str) -> str:
    """The console's base URL without a closing slash.

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
    return url.rstrip("/")


def _key_for(stores: Sequence[KeyStore]) -> Ed25519PrivateKey:
    for store in stores:
        if isinstance(store, CredentialStore) and (key := store.key()) is not None:
            return key
    return Ed25519PrivateKey.generate()


def _identity(record: EnrolmentRecord, key: Ed25519PrivateKey) -> Identity:
    return Identity(
        node_id=record.node_id,
        key_id=record.key_id,
        key=key,
        console_key=public_key_from(record.console_key),
        console_key_id=record.console_key_id,
        origin=record.origin,
        console_url=record.console_url,
        key_store=record.key_store,
    )


def _forget(previous: EnrolmentRecord | None, stores: Sequence[KeyStore], keep: str) -> None:
    if previous is None or previous.fingerprint == keep:
        return
    for store in stores:
        if store.name == previous.key_store:
            store.delete(previous.fingerprint)


async def _redeem(
    base: str,
    token: str,
    key: Ed25519PrivateKey,
    host: Mapping[str, object],
    ca_file: Path | None,
) -> _Answer:
    import aiohttp  # noqa: PLC0415 a third of a second that only this call needs

    body = {
        "join_token": token,
        "public_key": base64.b64encode(raw_public_key(key)).decode(),
        "proof": proof_of(token, key),
        "host": dict(host),
    }
    limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
    trust = _trust(ca_file) if base.startswith("https:") else True
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True) as session,
            # A redirect could carry the token to somebody else.
            session.post(
                f"{base}/agent/v1/token", json=body, ssl=trust, allow_redirects=False
            ) as response,
        ):
            text = await response.content.read(ANSWER_LIMIT_BYTES)
            return _understand(response.status, text, base)
    except aiohttp.ClientConnectorCertificateError as error:
        raise IdentityError(
            f"the certificate of {base} is not trusted: {error.certificate_error}; "
            "set BYOI_CA_FILE if it is your company's own"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise LinkError(f"the console at {base} cannot be reached: {reason}", retry=True) from error


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
    return context


def _understand(status: int, text: bytes, base: str) -> _Answer:
    if status in {200, 201}:
        try:
            return _Answer.model_validate_json(text)
        except ValidationError as error:
            raise IdentityError(f"{base} answers, but not like a byoi console") from error
    said = _message(text)
    match status:
        case 400 | 401 | 403 | 404 | 409 | 410 if said:
            raise IdentityError(f"the console refused to enrol this machine: {said}")
        case 429:
            raise LinkError("the console has had too many tries; wait a minute", retry=True)
        case 502 | 503 | 504:
            raise LinkError(f"the console at {base} is not ready ({status}); try again", retry=True)
        case _:
            raise IdentityError(f"{base} answered {status} to the enrolment; is it a byoi console?")


def _message(text: bytes) -> str | None:
    """OpenAI's error object, or none; at most one line of a stranger's text."""
    try:
        message = _Refusal.model_validate_json(text).error.message
    except ValidationError:
        return None
    return "".join(c for c in message if c.isprintable())[:300]
