"""How a machine becomes a console's node with a join token, and who it is ever after."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import IdentityError, LinkError
from byoi_agent.identity import stores as key_stores
from byoi_agent.identity.console_http import AnswerLost, ConsoleHttp, signed
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import public_key_text, raw_public_key
from byoi_agent.identity.membership import Admission, identity_of
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.clock import Clock
    from byoi_agent.identity.keys import Identity, KeyStore
    from byoi_agent.identity.record import EnrolmentRecord

TOKEN_PATH: Final = "/agent/v1/token"  # noqa: S105 (a path)
DOING: Final = "enrol this machine"

_TAG: Final = b"byoi-enrol-v1"

_PAUSES_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
"""Between the tries: a console that restarts is back within them."""

_PERHAPS: Final = (
    "it may have admitted this machine and the token be used up: type the same again within ten "
    "minutes, which takes no second use; later, look at its page Nodes, revoke there what never "
    "connected, and enrol with another token"
)


class JoinToken:
    """A join token as the way in: what `admit` asks the console with.

    `sign` is that of this machine; by it a person may let a later installation go on as this node.
    """

    def __init__(
        self,
        http: ConsoleHttp,
        token: str,
        host: Mapping[str, object],
        sign: str | None = None,
        *,
        clock: Clock,
    ) -> None:
        self._http = http
        self._clock = clock
        self._token = token
        self._host = host
        self._sign = sign

    @property
    def name(self) -> str:
        """The token, without telling it."""
        return hashlib.sha256(self._token.encode()).hexdigest()

    @property
    def was_asked(self) -> bool:
        """Whether the console may have heard of it."""
        return self._http.was_asked

    async def __call__(self, key: Ed25519PrivateKey) -> Admission:
        """Redeem the token for this key.

        Where an answer is lost, the same question is asked again: the console knows it by token
        and key, and takes no second use.

        Raises:
            IdentityError: the console refused.
            LinkError: the console cannot be reached now; `AnswerLost` if it may have said yes.
        """
        body = {
            "join_token": self._token,
            "public_key": public_key_text(key),
            "proof": proof_of(self._token, key),
            "host": dict(self._host),
        }
        if self._sign is not None:
            body["machine"] = self._sign
        lost: AnswerLost | None = None
        for pause_seconds in (*_PAUSES_SECONDS, None):
            try:
                reply = await self._http.post(TOKEN_PATH, body)
                return self._http.understand(reply, Admission, DOING)
            except LinkError as error:
                lost = error if isinstance(error, AnswerLost) else lost
                if lost is None:
                    raise  # it was never asked, so nothing was lost
                if pause_seconds is None:
                    raise AnswerLost(f"{error}; {_PERHAPS}", retry=True) from error
            await self._clock.sleep_until(self._clock.monotonic() + pause_seconds)
        raise AssertionError("the last try returns or raises")


def proof_of(code: str, key: Ed25519PrivateKey) -> str:
    """Base64 of the signature that binds a join token or device code to the key that shows it."""
    return signed(key, _TAG, code.encode(), raw_public_key(key))


def load_identity(record_file: Path, stores: Sequence[KeyStore]) -> Identity:
    """The node that this machine was enrolled as.

    Where a rotation got as far as the console, the new key comes along as the `successor`.

    Raises:
        IdentityError: it was not, or its key is missing; the message says what to type.
    """
    record = read_record(record_file)
    if record is None:
        raise IdentityError("this machine is not enrolled; run: byoi enroll --console URL")
    successor = _successor(record, stores)
    record = _as_moved(record, stores)
    key = key_stores.named(record.key_store, stores).load(record.fingerprint)
    if key is None and successor is not None:
        return successor  # the switch was made, and only its last lines were not written
    if key is None:
        raise IdentityError(
            f"the node's private key is gone from the store {record.key_store!r}; "
            "run: byoi enroll --replace --console " + record.console_url
        )
    return identity_of(record, key).with_successor(successor)


def _as_moved(record: EnrolmentRecord, stores: Sequence[KeyStore]) -> EnrolmentRecord:
    """The record with its key where it lies, where whoever (un)sealed it was cut off before that.

    A file is asked only for a key that was sealed: no other store's key is ever moved to one.
    """
    was_sealed = record.key_store == CredentialStore.name
    asked = (CredentialStore, FileStore) if was_sealed else (CredentialStore,)
    for kind in asked:
        for store in stores:
            if isinstance(store, kind) and store.load(record.fingerprint) is not None:
                return record.model_copy(update={"key_store": store.name})
    return record


def _successor(record: EnrolmentRecord, stores: Sequence[KeyStore]) -> Identity | None:
    if (promoted := record.promoted(0)) is None:
        return None
    key = key_stores.named(promoted.key_store, stores).load(promoted.fingerprint)
    return None if key is None else identity_of(promoted, key)
