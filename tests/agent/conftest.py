from __future__ import annotations

import pytest

from byoi_agent.identity.keys import fingerprint_of, public_key_text
from byoi_agent.identity.record import EnrolmentRecord


@pytest.fixture
def record_of():
    """The enrolment of node n1 with this key, whose console answers at https://c."""

    def record_of(key, **changes):
        record = EnrolmentRecord(
            node_id="n1",
            key_id="k1",
            fingerprint=fingerprint_of(key),
            key_store="file",
            console_key=public_key_text(key),
            console_key_id="c1",
            origin="https://c",
            console_url="https://c",
        )
        return record.model_copy(update=changes)

    return record_of
