"""The public half of an enrolment on the disk: `identity.json`, whole or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError, IdentityError
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from pathlib import Path


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PendingKey(_Part):
    """A key that shall follow the present one.

    `key_store` is None until the key is kept somewhere, `key_id` until the console has taken it.
    """

    fingerprint: str
    public_key: str
    since_ms: int
    key_store: str | None = None
    key_id: KeyId | None = None


class RetiredKey(_Part):
    """A key of former days: its public half proves old receipts.

    `key_store` names where the private half still lies: until it has been deleted, or for good in a
    credential, which only an administrator can take away.
    """

    key_id: KeyId
    fingerprint: str
    public_key: str
    retired_at_ms: int
    since_ms: int | None = None
    key_store: str | None = None


class EnrolmentRecord(_Part):
    """What a console said at enrolment, and where the private key lies (never the key itself).

    What may be None was not written by older versions.
    """

    node_id: NodeId
    key_id: KeyId
    fingerprint: str
    key_store: str
    console_key: str
    console_key_id: KeyId
    origin: str
    console_url: str
    name: str | None = None
    organisation: str | None = None
    visibility: str | None = None
    mode: str | None = None
    public_key: str | None = None
    key_since_ms: int | None = None
    pending: PendingKey | None = None
    retired: tuple[RetiredKey, ...] = ()

    @property
    def private_keys(self) -> list[tuple[str, str | None]]:
        """Fingerprint and store of each private key that may lie somewhere; None: in any store."""
        named: list[tuple[str, str | None]] = [(self.fingerprint, self.key_store)]
        if self.pending is not None:
            named.append((self.pending.fingerprint, self.pending.key_store))
        return named + [(old.fingerprint, old.key_store) for old in self.retired if old.key_store]

    def sealed(self) -> EnrolmentRecord:
        """The record once the present key lies in the credential, where no former one is then."""
        retired = tuple(
            old.model_copy(update={"key_store": None}) if old.key_store == "credential" else old
            for old in self.retired
        )
        return self.model_copy(update={"key_store": "credential", "retired": retired})

    def promoted(self, now_ms: int, public_key: str = "") -> EnrolmentRecord | None:
        """The record once the pending key is the node's key; None where none is ready for it.

        `public_key` is the present key's, where an older version did not write it down.
        """
        new = self.pending
        if new is None or new.key_id is None or new.key_store is None:
            return None
        old = RetiredKey(
            key_id=self.key_id,
            fingerprint=self.fingerprint,
            public_key=self.public_key or public_key,
            since_ms=self.key_since_ms,
            retired_at_ms=now_ms,
            key_store=self.key_store,
        )
        changes = {
            "key_id": new.key_id,
            "fingerprint": new.fingerprint,
            "public_key": new.public_key,
            "key_store": new.key_store,
            "key_since_ms": new.since_ms,
            "pending": None,
            "retired": (*self.retired, old),
        }
        return self.model_copy(update=changes)


def read_record(file: Path) -> EnrolmentRecord | None:
    """The enrolment, or None where there is none.

    Raises:
        IdentityError: the file is there and cannot be used.
    """
    try:
        return EnrolmentRecord.model_validate_json(read_private(file))
    except FileNotFoundError:
        return None
    except ConfigError as error:
        raise IdentityError(str(error)) from error
    except ValidationError as error:
        raise IdentityError(f"{file} is damaged; run: byoi enroll --replace") from error


def write_record(file: Path, record: EnrolmentRecord) -> None:
    """Write it so that a crash leaves the old or the new one."""
    write_private(file, record.model_dump_json(indent=2).encode())
