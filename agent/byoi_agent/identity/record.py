"""The public half of an enrolment on the disk: `identity.json`, whole or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError, IdentityError
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from pathlib import Path


class EnrolmentRecord(BaseModel):
    """What a console said at enrolment, and where the private key lies (never the key itself)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_id: NodeId
    key_id: KeyId
    fingerprint: str
    key_store: str
    console_key: str
    console_key_id: KeyId
    origin: str
    console_url: str


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
