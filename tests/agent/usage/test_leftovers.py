from __future__ import annotations

import pytest

from byoi_agent.usage.leftovers import count_waiting, give_up
from byoi_agent.usage.report import UsageUnreadable, read_report
from byoi_agent.usage.storage import Entry, Storage
from byoi_wire.usage import SignedRecord, UsageRecord


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "usage.sqlite3"
    storage = Storage(path)
    storage.open()
    records = [
        UsageRecord(
            request_id=f"r{number}",
            attempt=1,
            ticket="t",
            node_id="n",
            model="m",
            route="/v1/x",
            outcome="complete",
            status=200,
            usage={},
            counted_by="none",
            started_at_ms=0,
            duration_ms=0,
        )
        for number in range(1500)
    ]
    signed = SignedRecord(body="{}", key_id="k", signature="s")
    storage.insert([Entry(record, signed) for record in records])
    storage.close()
    return path


def test_what_was_not_booked_is_counted_and_given_up_but_stays_in_the_figures(file):
    assert count_waiting(file) == 1500
    assert give_up(file, now=1.0) == 1500
    assert count_waiting(file) == 0
    assert give_up(file, now=1.0) == 0
    assert read_report(file).totals.requests == 1500


def test_without_a_file_there_is_nothing(tmp_path):
    assert count_waiting(tmp_path / "none") == 0
    assert give_up(tmp_path / "none", now=1.0) == 0
    assert not (tmp_path / "none").exists()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "usage.sqlite3").write_text("not a database, and quite long enough to be one")
    with pytest.raises(UsageUnreadable, match="cannot be read"):
        count_waiting(tmp_path / "usage.sqlite3")
