from __future__ import annotations

import pytest

from byoi_agent.errors import IdentityError
from byoi_agent.identity.record import EnrolmentRecord, read_record, write_record

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
