"""Moves the node's key between its file and a sealed credential, so that it is never nowhere.

To seal: 1. the credential is written, and opened again. 2. The service starts anew and takes the
key from it, or the record says so where it does not run. 3. The file goes. To unseal: 1. the
service stops. 2. The key is written to a file. 3. The record says so. 4. The credential goes.
5. The service starts. Whenever the record is written here, nothing may start the node meanwhile.
After a crash at any of them the node has its key, and the same again goes on from there.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.config.lock import StateLock
from byoi_agent.errors import IdentityError
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import EnrolmentRecord, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.config.paths import Paths
    from byoi_agent.identity.sealed_file import SealedFile

TAKEN_SECONDS: Final = 120.0
"""The started node reads its key first of all; this only ends what hangs."""

_LOOK_SECONDS: Final = 0.2


class Service(Protocol):
    """Who starts the node. All raise AgentError where the system does not do it."""

    def is_running(self) -> bool:
        """Whether it runs, or is about to."""

    def is_watched(self) -> bool:
        """Whether it would start when the enrolment is written."""

    def restart(self) -> None:
        """Requests end first."""

    def stop(self) -> None:
        """As `restart`; nor is it watched from then on."""

    def start(self) -> None:
        """Until it is ready; watched as well."""

    def watch(self) -> None:
        """Have it start when the enrolment is written, and not before."""


@dataclass(frozen=True)
class Sealing:
    """Root's; what lies in the node's folders is touched as its account only (`as_account`).

    `pause` waits for some seconds; `monotonic` counts them.
    """

    sealed: SealedFile
    paths: Paths
    service: Service
    as_account: Callable[[], AbstractContextManager[None]]
    monotonic: Callable[[], float]
    pause: Callable[[float], None]

    def seal(self) -> EnrolmentRecord:
        """Move the key from its file into the credential; done already, only what is left is done.

        Raises:
            AgentError: it is where it was, or still there as well; the message says why.
        """
        record = self._record()
        if record.pending is not None:
            raise IdentityError(
                "a new key is on its way, and takes over when the node connects next; "
                "see: byoi keys. Then type the same again"
            )
        if self._left_in_file(record) is not None:
            self._move_in(record)
        elif record.key_store == CredentialStore.name:
            self._check_sealed(record)
        elif record.key_store != FileStore.name:
            raise IdentityError(f"the key lies in the {record.key_store}, which keeps it sealed")
        else:
            self._move_in(record)
        with self.as_account():
            self._files.delete(record.fingerprint)
        return self._record()

    def unseal(self) -> EnrolmentRecord:
        """Move the key from the credential into a file of the node's account.

        Raises:
            AgentError: as for `seal`.
        """
        record = self._record()
        key = self._left_in_file(record) or self.sealed.key()
        if key is None:
            raise IdentityError(f"no key is sealed on this machine ({self.sealed.file})")
        if fingerprint_of(key) != record.fingerprint:
            raise IdentityError(
                f"{self.sealed.file} holds another key than this node's, which lies elsewhere "
                f"(byoi keys); it is not needed any more: rm {self.sealed.file}"
            )
        with self._stopped():
            self._move_out(key)
        return self._record()

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Nothing runs or starts the node meanwhile; it stands afterwards as it did."""
        was_running, was_watched = self.service.is_running(), self.service.is_watched()
        try:
            if was_running or was_watched:
                self.service.stop()
            yield
        finally:
            if was_running:
                self.service.start()
            elif was_watched:
                self.service.watch()

    def _move_in(self, record: EnrolmentRecord) -> None:
        with self.as_account():
            key = self._files.load(record.fingerprint)
        if key is None:
            raise IdentityError(f"there is no key in {self.paths.keys_folder}; see: byoi doctor")
        before = self.sealed.contents()
        self.sealed.seal(key)
        if not self.service.is_running():
            with self._stopped(), self.as_account(), StateLock(self.paths.lock_file):
                write_record(self.paths.identity_file, record.sealed())
            return
        try:
            self.service.restart()
            self._wait_until_taken()
        except BaseException:
            # The key that the node has written down as its own is never taken from it.
            if not self._is_taken():
                self.sealed.put_back(before)
                self.service.restart()
            raise

    def _move_out(self, key: Ed25519PrivateKey) -> None:
        with self.as_account(), StateLock(self.paths.lock_file):
            self._files.save(key)
            record = self._record_as_account()
            unsealed = record.model_copy(update={"key_store": FileStore.name})
            write_record(self.paths.identity_file, unsealed)
        self.sealed.put_back(None)

    def _wait_until_taken(self) -> None:
        until = self.monotonic() + TAKEN_SECONDS
        while not self._is_taken():
            if self.monotonic() >= until:
                raise IdentityError(
                    "the service did not take its key from the credential, and has it from the "
                    "file again; look at: journalctl --unit byoi-agent"
                )
            self.pause(_LOOK_SECONDS)

    def _is_taken(self) -> bool:
        """The node itself writes down that its key came by the credential."""
        return self._record().key_store == CredentialStore.name

    def _check_sealed(self, record: EnrolmentRecord) -> None:
        """No file is deleted of which there is no other copy."""
        key = self.sealed.key()
        if key is None or fingerprint_of(key) != record.fingerprint:
            raise IdentityError(
                f"the key of this node is in a credential already, but not in {self.sealed.file}; "
                "look at: systemctl cat byoi-agent"
            )

    def _left_in_file(self, record: EnrolmentRecord) -> Ed25519PrivateKey | None:
        """The key, where the credential was taken away and its file is there.

        A node that starts finds it by itself, and writes down where; this one has not started yet.
        """
        if record.key_store != CredentialStore.name or self.service.is_running():
            return None
        if self.sealed.key() is not None:
            return None
        with self.as_account():
            return self._files.load(record.fingerprint)

    def _record(self) -> EnrolmentRecord:
        with self.as_account():
            return self._record_as_account()

    def _record_as_account(self) -> EnrolmentRecord:
        record = read_record(self.paths.identity_file)
        if record is None:
            raise IdentityError("this machine is not enrolled; run: byoi enroll --console URL")
        return record

    @property
    def _files(self) -> FileStore:
        return FileStore(self.paths.keys_folder)
