from __future__ import annotations

import json

import pytest

from byoi_agent.errors import IdentityError
from byoi_agent.identity.record import EnrolmentRecord, PendingKey, read_record, write_record

RECORD = EnrolmentRecord(
    node_id="n1",
    key_id="k1",
    fingerprint="f" * 16,
    key_store="file",
    console_key="AAAA",
    console_key_id="c1",
    origin="https://console.example",
    console_url="https://console.example",
)


def test_a_record_is_read_back_as_written(tmp_path):
    write_record(tmp_path / "identity.json", RECORD)
    assert read_record(tmp_path / "identity.json") == RECORD


def test_no_file_is_no_enrolment(tmp_path):
    assert read_record(tmp_path / "identity.json") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"node_id": 3}'])
def test_a_damaged_record_says_what_to_type(tmp_path, text):
    file = tmp_path / "identity.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(IdentityError, match="byoi enroll --replace"):
        read_record(file)


def test_a_record_that_others_may_write_is_not_believed(tmp_path):
    write_record(tmp_path / "identity.json", RECORD)
    (tmp_path / "identity.json").chmod(0o666)
    with pytest.raises(IdentityError, match="chmod 600"):
        read_record(tmp_path / "identity.json")


def test_a_record_of_an_older_version_still_counts(tmp_path):
    file = tmp_path / "identity.json"
    written = RECORD.model_dump(exclude_unset=True)
    assert set(written) == {
        "node_id",
        "key_id",
        "fingerprint",
        "key_store",
        "console_key",
        "console_key_id",
        "origin",
        "console_url",
    }
    file.write_text(json.dumps(written))
    file.chmod(0o600)
    assert read_record(file) == RECORD


PENDING = PendingKey(fingerprint="e" * 16, public_key="BBBB", since_ms=7)


@pytest.mark.parametrize(
    "pending",
    [
        None,
        PENDING,
        PENDING.model_copy(update={"key_store": "file"}),
        PENDING.model_copy(update={"key_id": "k2"}),
    ],
)
def test_a_key_that_is_not_kept_and_known_follows_nobody(pending):
    assert RECORD.model_copy(update={"pending": pending}).promoted(9) is None


def test_a_key_that_follows_leaves_the_public_half_of_the_one_before():
    ready = PENDING.model_copy(update={"key_store": "keyring", "key_id": "k2"})
    record = RECORD.model_copy(update={"pending": ready})
    promoted = record.promoted(9, public_key="AAAA")
    assert (promoted.key_id, promoted.key_store, promoted.key_since_ms) == ("k2", "keyring", 7)
    [old] = promoted.retired
    assert (old.key_id, old.public_key, old.key_store, old.retired_at_ms) == (
        "k1",
        "AAAA",
        "file",
        9,
    )
    assert record.private_keys == [("f" * 16, "file"), ("e" * 16, "keyring")]
    assert promoted.private_keys == [("e" * 16, "keyring"), ("f" * 16, "file")]
