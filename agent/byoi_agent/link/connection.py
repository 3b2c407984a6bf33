"""One dial: from the console's address to a proven connection, errors told apart on the way."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError, LinkError
from byoi_wire import codec
from byoi_wire.aio.inbox import ChannelLost, Inbox
from byoi_wire.aio.websocket import DialRefused, WebSocketChannel, dial
from byoi_wire.errors import HandshakeRefused, ProtocolViolation, SignatureInvalid
from byoi_wire.handshake import NodeHandshake
from byoi_wire.version import HANDSHAKE_LIMIT_BYTES, HANDSHAKE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.identity.keys import Identity
    from byoi_wire.ids import InstanceId
    from byoi_wire.messages import ResumeOffer, Welcome

DIAL_SECONDS: Final = 20.0
_RETRY_LIMIT_SECONDS: Final = 3600.0
_CLOCK_WORDS: Final = ("not yet valid", "has expired")


@dataclass(frozen=True)
class Proven:
    """A channel on which both sides have shown who they are."""

    channel: WebSocketChannel
    inbox: Inbox
    welcome: Welcome


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The system's trust store, and the owner's own authority beside it.

    Raises:
        ConfigError: the owner's file cannot be read, or holds no certificates.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
    return context


async def connect(
    url: str,
    identity: Identity,
    instance_id: InstanceId,
    resume: ResumeOffer | None,
    *,
    tls: ssl.SSLContext | None,
    agent: str,
) -> Proven:
    """Dial, prove, and hear the verdict.

    Raises:
        LinkError: not now; its hint says when, where the console gave one.
        HandshakeRefused: the console's own no, with its code.
    """
    channel = await _open(url, tls, agent)
    handshake = NodeHandshake(
        node_id=identity.node_id,
        key_id=identity.key_id,
        key=identity.key,
        console_key=identity.console_key,
        origin=identity.origin,
        instance_id=instance_id,
        nonce=secrets.token_hex(16),
        agent=agent,
    )
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await _prove(channel, handshake, resume)
    except TimeoutError as error:
        channel.abort()
        raise LinkError("the console did not answer the handshake", retry=True) from error
    except SignatureInvalid as error:
        channel.abort()
        raise LinkError(
            f"another console answers at {url}: {error}; if it is meant to be the new one, "
            "enrol with it: byoi enroll --replace",
            retry=True,
        ) from error
    except (ChannelLost, ProtocolViolation) as error:
        channel.abort()
        raise LinkError(f"handshake failed: {error}", retry=True) from error
    except BaseException:
        channel.abort()
        raise


async def _prove(
    channel: WebSocketChannel, handshake: NodeHandshake, resume: ResumeOffer | None
) -> Proven:
    inbox = Inbox(channel, HANDSHAKE_LIMIT_BYTES)
    hello = handshake.answer(await inbox.next(), resume)
    channel.send(codec.encode_control(hello))
    welcome = handshake.conclude(await inbox.next())
    return Proven(channel, inbox, welcome)


async def _open(url: str, tls: ssl.SSLContext | None, agent: str) -> WebSocketChannel:
    try:
        return await dial(url, tls=tls, user_agent=agent, timeout_seconds=DIAL_SECONDS)
    except DialRefused as error:
        raise LinkError(
            f"{url}: {error}", retry=True, retry_after_seconds=_seconds(error.retry_after)
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise LinkError(_tls_words(url, error), retry=True) from error
    except TimeoutError as error:
        raise LinkError(f"{url}: no answer within {DIAL_SECONDS:.0f} s", retry=True) from error
    except OSError as error:
        raise LinkError(f"{url}: {error.strerror or error}", retry=True) from error


def _tls_words(url: str, error: ssl.SSLCertVerificationError) -> str:
    words = error.verify_message
    if any(phrase in words for phrase in _CLOCK_WORDS):
        return f"{url}: {words}; is this machine's clock right?"
    return f"{url}: {words}; for a company's own authority set BYOI_CA_FILE"


def _seconds(retry_after: str | None) -> float | None:
    """The header in seconds, an hour at most; its date form is not worth a clock comparison."""
    if retry_after is None or not re.fullmatch("[0-9]{1,9}", retry_after):
        return None
    return min(float(retry_after), _RETRY_LIMIT_SECONDS)


__all__ = ["HandshakeRefused", "Proven", "connect", "tls_context"]
