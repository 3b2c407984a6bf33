"""Which keys a node has had, as the control API and `byoi keys` tell them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from byoi_agent.config.installation import read_installation
from byoi_agent.config.paths import key_place
from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from byoi_agent.config.paths import Paths
    from byoi_agent.identity.record import EnrolmentRecord


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class KeyRow(_Told):
    """A key's public half; times as ISO 8601 in UTC.

    `state` is "present", "next", "unfinished" or "retired"; `place` is where the private half lies,
    null once it is gone.
    """

    key_id: str | None
    fingerprint: str
    state: str
    place: str | None
    since: str | None
    until: str | None


class KeyList(_Told):
    """A node's keys, the present one first; `hint` is what to do about a former one."""

    node_id: str
    keys: tuple[KeyRow, ...]
    hint: str | None = None


def list_of(record: EnrolmentRecord, paths: Paths) -> KeyList:
    """All keys that the record of an enrolment knows."""
    rows = _rows_of(record, paths)
    return KeyList(node_id=record.node_id, keys=rows, hint=seal_hint(record, paths))


def seal_hint(record: EnrolmentRecord, paths: Paths) -> str | None:
    """What to do about a credential that still holds a key of former days."""
    sealed_before = any(old.key_store == "credential" for old in record.retired)
    is_leaving = record.pending is not None and record.key_store == "credential"
    if not sealed_before and not is_leaving:
        return None
    new = record.pending if is_leaving and record.pending is not None else record
    if new.key_store != "file":
        return "The credential device-key holds a key of former days; take it out of the unit."
    if (service := read_installation().service) is not None and service.state == paths.state:
        return (
            "The credential device-key cannot be written by the service and holds a key of former "
            "days. Seal the new one, once the node serves with it: sudo byoi keys seal"
        )
    file = paths.keys_folder / f"{new.fingerprint}.key"
    return (
        "The credential device-key cannot be written by the service and holds a key of former "
        "days. Seal the new one: systemd-creds encrypt --name=device-key "
        f"{file} /etc/credstore.encrypted/byoi.device-key; restart the service; then delete {file}"
    )


def _rows_of(record: EnrolmentRecord, paths: Paths) -> tuple[KeyRow, ...]:
    present = KeyRow(
        key_id=record.key_id,
        fingerprint=spoken(record.fingerprint),
        state="present",
        place=key_place(record.key_store, paths),
        since=_moment(record.key_since_ms),
        until=None,
    )
    former = (
        KeyRow(
            key_id=old.key_id,
            fingerprint=spoken(old.fingerprint),
            state="retired",
            place=key_place(old.key_store, paths) if old.key_store else None,
            since=_moment(old.since_ms),
            until=_moment(old.retired_at_ms),
        )
        for old in reversed(record.retired)
    )
    return (present, *_next_of(record, paths), *former)


def _next_of(record: EnrolmentRecord, paths: Paths) -> tuple[KeyRow, ...]:
    if (new := record.pending) is None:
        return ()
    row = KeyRow(
        key_id=new.key_id,
        fingerprint=spoken(new.fingerprint),
        state="next" if new.key_id else "unfinished",
        place=key_place(new.key_store, paths) if new.key_store else None,
        since=_moment(new.since_ms),
        until=None,
    )
    return (row,)


def _moment(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
