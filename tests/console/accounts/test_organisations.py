from __future__ import annotations

import pytest
from sqlalchemy import select

from byoi_console.accounts.organisations import Organisations, checked_name
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.store.tables import audit_log, organisations


async def test_a_new_name_is_kept_and_told_in_the_audit_log(database, audit, org_id):
    await Organisations(database, audit).rename(org_id, " New  name ", "person_1")
    async with database.read() as connection:
        assert (await connection.execute(select(organisations.c.name))).scalar_one() == "New name"
        entry = (await connection.execute(select(audit_log))).one()
    assert (entry.action, entry.actor) == ("organisation.renamed", "person_1")
    assert '"before": "example.org"' in entry.details


async def test_what_is_not_there_cannot_be_renamed(database, audit):
    with pytest.raises(NotFound):
        await Organisations(database, audit).rename("org_none", "a", "person_1")


@pytest.mark.parametrize("name", ["", " \t ", "a" * 201, "a\x00b", "right\u202eleft"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputInvalid):
        checked_name(name)
