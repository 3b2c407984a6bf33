"""What a console says to a machine that it admits, and the enrolment made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from byoi_agent.errors import IdentityError
from byoi_agent.identity.attempt import Attempts
from byoi_agent.identity.console_http import NAME_PATTERN, printable
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.keys import (
    Identity,
    fingerprint_of,
    public_key_from,
    public_key_text,
)
from byoi_agent.identity.record import EnrolmentRecord, read_record, write_record
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from byoi_agent.identity.attempt import Begun
    from byoi_agent.identity.keys import KeyStore

_Words = Annotated[str, AfterValidator(printable)]


class Admission(BaseModel):
    """A console's yes; the last four are what a person chose there, or its defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    node_id: NodeId = Field(pattern=NAME_PATTERN)
    key_id: KeyId = Field(pattern=NAME_PATTERN)
    console_key: str
    console_key_id: KeyId = Field(pattern=NAME_PATTERN)
    origin: _Words
    name: _Words | None = None
    organisation: _Words | None = None
    visibility: _Words | None = None
    mode: _Words | None = None


class Enrolled(NamedTuple):
    """A node, its record as it lies on the disk, and why its key lies in no safer store."""

    identity: Identity
    record: EnrolmentRecord
    passed_over: tuple[str, ...]


class Way(Protocol):
    """By what right a machine asks to be admitted."""

    @property
    def name(self) -> str | None:
        """The same where the console takes two askings for one; None: each is another."""

    async def __call__(self, key: Ed25519PrivateKey) -> Admission:
        """Ask for this key; raises AgentError where it comes to nothing."""
        ...

    @property
    def was_asked(self) -> bool:
        """Whether the console may have heard of it: a question has begun to leave this machine."""
        ...


async def admit(
    base: str,
    ask: Way,
    *,
    stores: Sequence[KeyStore],
    record_file: Path,
    attempt_file: Path,
    now_ms: int,
) -> Enrolled:
    """Have the console at `base` admit a key, and write the enrolment down.

    The key is kept before the console hears of it: a crash in between costs a key without a node,
    never a node without its key. An earlier enrolment stays whole until the new one is written.

    Raises:
        IdentityError: the key cannot be kept, or the console's answer cannot be used.
        AgentError: what `ask` raises; nothing is left behind but what may be asked again.
    """
    previous = read_record(record_file)
    used = () if previous is None else [fingerprint for fingerprint, _ in previous.private_keys]
    attempts = Attempts(attempt_file, stores, base, ask.name)

    async def enrol(begun: Begun) -> Enrolled:
        try:
            admission = await ask(begun.key)
            record = record_of(admission, begun.key, begun.kept.store.name, base, now_ms)
            identity = identity_of(record, begun.key)
            write_record(record_file, record)
        except BaseException as error:
            attempts.failed(begun, error, was_asked=ask.was_asked)
            raise
        attempts.ended()
        forget_keys(previous, stores, keep=record.fingerprint)
        return Enrolled(identity, record, begun.kept.passed_over)

    if (again := attempts.again(used)) is not None:
        try:
            return await enrol(again)
        except IdentityError:
            if not ask.was_asked:
                raise
            # Refused: too late for the same answer, so this asks as if it were the first time.
    return await enrol(attempts.begin(_key_for(stores)))


def record_of(
    admission: Admission, key: Ed25519PrivateKey, store: str, base: str, now_ms: int
) -> EnrolmentRecord:
    """The public half of an enrolment."""
    return EnrolmentRecord(
        **admission.model_dump(),
        fingerprint=fingerprint_of(key),
        public_key=public_key_text(key),
        key_store=store,
        key_since_ms=now_ms,
        console_url=base,
    )


def identity_of(record: EnrolmentRecord, key: Ed25519PrivateKey) -> Identity:
    """Whom a node with this record and key proves itself as.

    Raises:
        IdentityError: the console's key in it is none.
    """
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


def forget_keys(
    record: EnrolmentRecord | None, stores: Sequence[KeyStore], *, keep: str | None = None
) -> list[str]:
    """Delete every private key that a record names; the answer says what could not be deleted."""
    left: list[str] = []
    for fingerprint, name in [] if record is None else record.private_keys:
        if fingerprint == keep:
            continue
        for store in stores:
            if name in {None, store.name}:
                left += _deleted(store, fingerprint)
    return left


def _deleted(store: KeyStore, fingerprint: str) -> list[str]:
    try:
        store.delete(fingerprint)
    except IdentityError as error:
        return [f"the key {fingerprint} is still in the {store.name} store: {error}"]
    return []


def _key_for(stores: Sequence[KeyStore]) -> Ed25519PrivateKey:
    for store in stores:
        if isinstance(store, CredentialStore) and (key := store.key()) is not None:
            return key
    return Ed25519PrivateKey.generate()
