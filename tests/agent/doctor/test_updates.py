from __future__ import annotations

import pytest

from byoi_agent.doctor.updates import check, finding_of
from byoi_agent.update.told import Entry, Told

NOW = 1_800_000_000.0


def entry(outcome):
    return Entry(at=NOW, old="1.0.0", new="1.1.0", outcome=outcome, reason="it never served")


@pytest.mark.parametrize(
    ("told", "state", "text"),
    [
        (None, "warn", "nobody has ever looked"),
        (Told(), "warn", "nobody has ever looked"),
        (Told(checked_at=NOW), "ok", "the newest version of the ring stable"),
        (Told(checked_at=NOW, trouble="offline"), "warn", "offline"),
        (Told(checked_at=NOW - 30 * 86_400), "warn", "for 30 days"),
        (
            Told(checked_at=NOW, available="1.2.0", held="it waits"),
            "warn",
            "1.2.0 is available: it",
        ),
        (Told(checked_at=NOW, history=(entry("rolled back"),)), "warn", "was taken back: it never"),
        (Told(checked_at=NOW, history=(entry("stuck"),)), "fail", "could not be put back"),
        (Told(checked_at=NOW, history=(entry("updated"),)), "ok", "newest"),
    ],
)
def test_what_matters_most_about_updates_is_told_with_its_mend(told, state, text):
    found = finding_of(told, NOW)
    assert (found.state, text in found.text) == (state, True), found.text
    assert (found.mend is None) == (state == "ok")


async def test_what_runs_from_source_is_not_replaced_by_us(well):
    (found,) = await check(well())
    assert found.state == "skipped"
