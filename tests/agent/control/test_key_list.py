from __future__ import annotations

from pathlib import Path

from byoi_agent.config.paths import Paths
from byoi_agent.control.key_list import list_of, seal_hint
from byoi_agent.identity.record import EnrolmentRecord, PendingKey, RetiredKey
from byoi_wire.ids import KeyId, NodeId

PATHS = Paths(Path("/state"), Path("/cache"), Path("/run"))
RECORD = EnrolmentRecord(
    node_id=NodeId("n1"),
    key_id=KeyId("k1"),
    fingerprint="0" * 16,
    key_store="file",
    console_key="AAAA",
    console_key_id=KeyId("c1"),
    origin="https://c",
    console_url="https://c",
    key_since_ms=1_700_000_000_123,
)
OLD = RetiredKey(key_id=KeyId("k0"), fingerprint="1" * 16, public_key="A", retired_at_ms=1000)


def test_the_present_key_comes_first_then_the_next_then_former_ones_newest_first():
    older = OLD.model_copy(update={"key_id": KeyId("k00")})
    pending = PendingKey(fingerprint="2" * 16, public_key="A", since_ms=0)
    told = list_of(RECORD.model_copy(update={"pending": pending, "retired": (older, OLD)}), PATHS)
    states = [(key.key_id, key.state) for key in told.keys]
    assert states == [
        ("k1", "present"),
        (None, "unfinished"),
        ("k0", "retired"),
        ("k00", "retired"),
    ]
    assert told.keys[0].since == "2023-11-14T22:13:20Z"
    assert told.keys[0].place == "in a file in /state/keys"
    assert told.keys[2].until == "1970-01-01T00:00:01Z"


def test_a_key_that_leaves_a_credential_for_the_keyring_is_to_be_taken_out_of_the_unit():
    assert seal_hint(RECORD, PATHS) is None
    pending = PendingKey(fingerprint="2" * 16, public_key="A", since_ms=0, key_store="keyring")
    leaving = RECORD.model_copy(update={"key_store": "credential", "pending": pending})
    assert "take it out of the unit" in seal_hint(leaving, PATHS)
