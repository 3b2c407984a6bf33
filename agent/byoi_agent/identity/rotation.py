"""Changes a node's key step by step; after a crash at any of them the next try goes on from there.

1. `pending` names the new key in the record. 2. The key is kept in a store. 3. The record says in
which. 4. The console takes it, signed by the present key: from now on it admits both. 5. The record
says so. 6. The link comes up with the new key, and the console revokes the old one. 7. The record
makes the new key the present one, and the old one's public half stays for old receipts. 8. The old
private half is deleted. 9. The record says so.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, Field

from byoi_agent.errors import IdentityError
from byoi_agent.identity import stores as key_stores
from byoi_agent.identity.console_http import NAME_PATTERN, ConsoleHttp, signed
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.keys import fingerprint_of, public_key_text, raw_public_key
from byoi_agent.identity.membership import identity_of
from byoi_agent.identity.record import (
    EnrolmentRecord,
    PendingKey,
    RetiredKey,
    read_record,
    write_record,
)
from byoi_wire.ids import KeyId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from byoi_agent.identity.keys import Identity, KeyStore

logger = logging.getLogger(__name__)

KEYS_PATH: Final = "/agent/v1/keys"

_TAG: Final = b"byoi-rotate-v1"

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class _Answer(BaseModel):
    key_id: KeyId = Field(pattern=NAME_PATTERN)


class KeyRotation:
    """Sole writer of the enrolment record after enrolment; whoever has the state lock makes one.

    Stores and disk may block for seconds, so one thread does all that; `close` ends it.
    """

    def __init__(
        self,
        record_file: Path,
        stores: Sequence[KeyStore],
        http: ConsoleHttp,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._file = record_file
        self._stores = stores
        self._http = http
        self._now_ms = now_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="node keys")

    def close(self) -> None:
        """What is under way in the thread ends by itself."""
        self._thread.shutdown(wait=False)

    async def prepare(self, present: Identity) -> Identity:
        """Steps 1 to 5: the same node with its next key, which the console admits from now on.

        Raises:
            IdentityError: the machine is not enrolled, no store takes a key, or the console
                refused; the present key goes on alone.
            LinkError: the console cannot be reached; calling it again goes on from there.
        """
        record, key = await self._in_thread(self._next_key)
        pending = record.pending
        assert pending is not None
        if pending.key_id is None:
            try:
                key_id = await self._introduce(present, key)
            except IdentityError:
                await self._in_thread(self._drop, pending.fingerprint)
                raise
            record = await self._in_thread(self._introduced, pending.fingerprint, key_id)
        promoted = record.promoted(self._now_ms())
        assert promoted is not None
        return identity_of(promoted, key)

    async def settle(self, successor: Identity) -> None:
        """Steps 7 to 9, once the console has welcomed the new key; again is no news.

        Raises:
            IdentityError: the record cannot be written, or the old key cannot be deleted; calling
                it again goes on from there.
        """
        await self._in_thread(self._settle, successor)

    async def drop(self, successor: Identity) -> None:
        """The console does not want the new key: forget it."""
        await self._in_thread(self._drop, fingerprint_of(successor.key))

    async def begin(self, present: Identity) -> bool:
        """A node starts as `present`: put away what a crash left.

        Returns True where an earlier rotation has not reached the console.

        Raises:
            IdentityError: the record cannot be read or written.
        """
        return await self._in_thread(self._begin, present)

    async def _introduce(self, present: Identity, key: Ed25519PrivateKey) -> KeyId:
        parts = (present.origin.encode(), present.node_id.encode(), raw_public_key(key))
        body = {
            "node_id": present.node_id,
            "key_id": present.key_id,
            "public_key": public_key_text(key),
            "proof": signed(key, _TAG, *parts),
            "signature": signed(present.key, _TAG, *parts),
        }
        reply = await self._http.post(KEYS_PATH, body)
        return self._http.understand(reply, _Answer, "take a new key").key_id

    # In the thread.

    def _begin(self, present: Identity) -> bool:
        record = read_record(self._file)
        if record is None:
            return False
        if fingerprint_of(present.key) == record.fingerprint:
            record = self._moved(record, present.key_store)
        self._put_away(record)
        return record.pending is not None and record.promoted(0) is None

    def _moved(self, record: EnrolmentRecord, key_store: str) -> EnrolmentRecord:
        """The record written as the present key was found: the administrator may have moved it."""
        if key_store == record.key_store:
            return record
        # What is sealed is sealed over a retired one.
        is_sealed = key_store == CredentialStore.name
        moved = record.sealed() if is_sealed else record.model_copy(update={"key_store": key_store})
        self._write(moved)
        return moved

    def _read(self) -> EnrolmentRecord:
        record = read_record(self._file)
        if record is None:
            raise IdentityError("this machine is not enrolled; run: byoi enroll --console URL")
        return record

    def _write(self, record: EnrolmentRecord) -> None:
        try:
            write_record(self._file, record)
        except OSError as error:
            raise IdentityError(f"{self._file} cannot be written: {error.strerror}") from error

    def _next_key(self) -> tuple[EnrolmentRecord, Ed25519PrivateKey]:
        """Steps 1 to 3, or the key that an earlier try brought that far."""
        record = self._read()
        if (begun := record.pending) is not None:
            if (key := self._kept(begun)) is not None:
                return record, key
            record = self._without(record, begun.fingerprint)
        key = Ed25519PrivateKey.generate()
        pending = PendingKey(
            fingerprint=fingerprint_of(key),
            public_key=public_key_text(key),
            since_ms=self._now_ms(),
        )
        self._write(record.model_copy(update={"pending": pending}))
        try:
            store = key_stores.keep(key, self._stores).store
        except IdentityError:
            self._write(record)
            raise
        pending = pending.model_copy(update={"key_store": store.name})
        record = record.model_copy(update={"pending": pending})
        self._write(record)
        return record, key

    def _kept(self, pending: PendingKey) -> Ed25519PrivateKey | None:
        if pending.key_store is None:
            return None
        return key_stores.named(pending.key_store, self._stores).load(pending.fingerprint)

    def _introduced(self, fingerprint: str, key_id: KeyId) -> EnrolmentRecord:
        """Step 5."""
        record = self._read()
        pending = record.pending
        assert pending is not None
        assert pending.fingerprint == fingerprint
        known = pending.model_copy(update={"key_id": key_id})
        record = record.model_copy(update={"pending": known})
        self._write(record)
        return record

    def _settle(self, successor: Identity) -> None:
        record = self._read()
        pending = record.pending
        if pending is not None and pending.fingerprint == fingerprint_of(successor.key):
            promoted = record.promoted(self._now_ms(), self._public_key_of(record))
            assert promoted is not None
            record = promoted
            self._write(record)
        self._put_away(record)

    def _put_away(self, record: EnrolmentRecord) -> None:
        """Steps 8 and 9."""
        for old in record.retired:
            if old.key_store is not None:
                key_stores.named(old.key_store, self._stores).delete(old.fingerprint)
        put_away = tuple(
            old if old.key_store == CredentialStore.name else _without_private_half(old)
            for old in record.retired
        )
        if put_away != record.retired:
            self._write(record.model_copy(update={"retired": put_away}))

    def _public_key_of(self, record: EnrolmentRecord) -> str:
        """The present public key, which older versions did not write down."""
        if record.public_key is not None:
            return record.public_key
        key = key_stores.named(record.key_store, self._stores).load(record.fingerprint)
        return "" if key is None else public_key_text(key)

    def _drop(self, fingerprint: str) -> None:
        record = self._read()
        if record.pending is not None and record.pending.fingerprint == fingerprint:
            self._write(self._without(record, fingerprint))

    def _without(self, record: EnrolmentRecord, fingerprint: str) -> EnrolmentRecord:
        """The record without its pending key, whose private half goes wherever it may lie."""
        for store in self._stores:
            try:
                store.delete(fingerprint)
            except IdentityError as error:  # a store that cannot be asked has hardly taken it
                logger.debug("key not deleted", extra={"store": store.name, "reason": str(error)})
        return record.model_copy(update={"pending": None})

    async def _in_thread(
        self,
        call: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(call, *args, **kwargs))


def _without_private_half(old: RetiredKey) -> RetiredKey:
    return old.model_copy(update={"key_store": None})
