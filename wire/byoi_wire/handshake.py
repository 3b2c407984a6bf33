"""Who is who: the console's signed challenge, the node's signed answer, over one transcript.

Both proofs are Ed25519 over length-prefixed parts, so that no two transcripts can be confused. The
node signs the origin it enrolled with, not the address it dialled: a console that relays another
console's challenge gets a signature that the other refuses.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature

from byoi_wire.codec import decode_control, encode_control
from byoi_wire.errors import HandshakeRefused, ProtocolViolation, SignatureInvalid
from byoi_wire.messages import Challenge, Hello, Reject, ResumeOffer, Welcome
from byoi_wire.version import SUPPORTED_VERSIONS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    from byoi_wire.ids import InstanceId, KeyId, NodeId

_AUTH_TAG: Final = "byoi-auth-v1"
_CHALLENGE_TAG: Final = "byoi-challenge-v1"


def _transcript(*parts: str | bytes) -> bytes:
    """Each part with its length before it (u32, big-endian)."""
    out = bytearray()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        out += struct.pack(">I", len(raw)) + raw
    return bytes(out)


def _challenge_transcript(challenge: Challenge) -> bytes:
    return _transcript(
        _CHALLENGE_TAG,
        challenge.nonce,
        challenge.origin,
        challenge.console_key_id,
        str(challenge.server_time_ms),
        ",".join(challenge.versions),
    )


def _hello_transcript(hello: Hello, challenge: Challenge, text: str, origin: str) -> bytes:
    return _transcript(
        _AUTH_TAG,
        origin,
        challenge.nonce,
        hello.nonce,
        hello.node_id,
        hello.key_id,
        hello.instance_id,
        hashlib.sha256(text.encode()).digest(),
        hello.version,
    )


def _verify(key: Ed25519PublicKey, signature: str, message: bytes, what: str) -> None:
    try:
        key.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureInvalid(f"{what} does not verify") from error


class ConsoleHandshake:
    """The console's half: one challenge, one verdict."""

    def __init__(
        self, *, origin: str, key_id: KeyId, key: Ed25519PrivateKey, nonce: str, now_ms: int
    ) -> None:
        unsigned = Challenge(
            nonce=nonce,
            origin=origin,
            console_key_id=key_id,
            signature="",
            server_time_ms=now_ms,
            versions=SUPPORTED_VERSIONS,
        )
        proof = base64.b64encode(key.sign(_challenge_transcript(unsigned))).decode()
        self._challenge = unsigned.model_copy(update={"signature": proof})
        self.text = encode_control(self._challenge)

    def read_hello(self, text: str) -> Hello:
        """The node's answer, not yet believed.

        Raises:
            ProtocolViolation: it is no hello.
            HandshakeRefused: it speaks no version that we know.
        """
        hello = decode_control(text)
        if not isinstance(hello, Hello):
            raise ProtocolViolation("expected hello")
        if hello.version not in SUPPORTED_VERSIONS:
            raise HandshakeRefused("upgrade_required", f"no common version: {hello.version[:32]}")
        return hello

    def verify(self, hello: Hello, key: Ed25519PublicKey) -> None:
        """Believe the hello.

        Raises:
            SignatureInvalid: the proof is not this key's over this challenge and our origin.
        """
        message = _hello_transcript(hello, self._challenge, self.text, self._challenge.origin)
        _verify(key, hello.signature, message, f"proof of node {hello.node_id}")


class NodeHandshake:
    """The node's half: prove the console, prove itself, hear the verdict."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        key_id: KeyId,
        key: Ed25519PrivateKey,
        console_key: Ed25519PublicKey,
        origin: str,
        instance_id: InstanceId,
        nonce: str,
        agent: str,
    ) -> None:
        self._node_id = node_id
        self._key_id = key_id
        self._key = key
        self._console_key = console_key
        self._origin = origin
        self._instance_id = instance_id
        self._nonce = nonce
        self._agent = agent

    def answer(self, text: str, resume: ResumeOffer | None) -> Hello:
        """The hello that fits this challenge.

        Raises:
            SignatureInvalid: this is not the console that the node enrolled with.
            HandshakeRefused: no common version, or the console turned us away at once.
            ProtocolViolation: it is no challenge.
        """
        challenge = decode_control(text)
        if isinstance(challenge, Reject):
            # Nobody has proven anything yet: a stranger's word must not end a node for good.
            raise HandshakeRefused(
                "retry", challenge.message, _refused(challenge).retry_after_seconds
            )
        if not isinstance(challenge, Challenge):
            raise ProtocolViolation("expected challenge")
        _verify(
            self._console_key,
            challenge.signature,
            _challenge_transcript(challenge),
            "the console's challenge",
        )
        if challenge.origin != self._origin:
            raise SignatureInvalid(
                f"challenge for {challenge.origin}, enrolled with {self._origin}"
            )
        version = next((v for v in SUPPORTED_VERSIONS if v in challenge.versions), None)
        if version is None:
            raise HandshakeRefused("upgrade_required", "the console speaks no version of ours")
        unsigned = Hello(
            node_id=self._node_id,
            key_id=self._key_id,
            nonce=self._nonce,
            signature="",
            instance_id=self._instance_id,
            version=version,
            agent=self._agent,
            resume=resume,
        )
        proof = self._key.sign(_hello_transcript(unsigned, challenge, text, self._origin))
        return unsigned.model_copy(update={"signature": base64.b64encode(proof).decode()})

    def conclude(self, text: str) -> Welcome:
        """The welcome.

        Raises:
            HandshakeRefused: the console said no; its code says what to do next.
            ProtocolViolation: it is neither welcome nor reject.
        """
        verdict = decode_control(text)
        if isinstance(verdict, Reject):
            raise _refused(verdict)
        if not isinstance(verdict, Welcome):
            raise ProtocolViolation("expected welcome or reject")
        return verdict


def _refused(reject: Reject) -> HandshakeRefused:
    wait = None if reject.retry_after_ms is None else reject.retry_after_ms / 1000
    return HandshakeRefused(reject.code, reject.message, wait)
