from __future__ import annotations

from datetime import time

import pytest
from pydantic import ValidationError

from byoi_agent.config.hours import HoursTable


def test_hours_are_written_as_their_owner_wrote_them():
    hours = HoursTable(since="22:00", until="06:30")
    assert (hours.since, hours.until) == (time(22), time(6, 30))
    told = hours.model_dump(mode="json")
    assert (told["since"], told["until"]) == ("22:00", "06:30")
    assert HoursTable(since=time(22, 0, 5), until="06:30").model_dump(mode="json")["since"] == (
        "22:00:05"
    )


@pytest.mark.parametrize("written", ["22", "22:00:00", 22, "ten"])
def test_what_is_no_time_of_day_is_refused_with_one_that_is(written):
    with pytest.raises(ValidationError, match='it looks like "22:00"'):
        HoursTable(since=written, until="06:00")


def test_an_unknown_name_is_a_mistake():
    with pytest.raises(ValidationError):
        HoursTable(since="22:00", until="06:00", sinc="21:00")
