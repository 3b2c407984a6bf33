from __future__ import annotations

from datetime import time

from byoi_agent.config.availability import Feed, Schedule, Window
from byoi_agent.errors import ConfigError

BY_SCRIPT = {"HX-Request": "true"}
NIGHTS = {"kind": "windows", "days": ["mon", "tue"], "since": "22:00", "until": "06:30"}


async def test_hours_are_added_and_shown(whole, hours):
    status, _, place = await whole.post("/schedule/add", NIGHTS)
    assert (status, place) == (303, "/schedule")
    assert hours.schedule.windows == (
        Window(days=("mon", "tue"), since=time(22), until=time(6, 30)),
    )
    _, text = await whole.get("/schedule")
    assert "Monday, Tuesday, 22:00 to 06:30 of the next day" in text
    assert 'class="open"' in text


async def test_what_stands_beside_the_hours_is_left_as_it_is(whole, hours):
    feed = Feed(source="/prices.json", at_most=0.2)
    hours.schedule = Schedule(price=feed, windows=(Window(since=time(1), until=time(2)),))
    await whole.post("/schedule/add", {**NIGHTS, "kind": "quiet"})
    assert hours.schedule.price == feed
    assert len(hours.schedule.windows) == len(hours.schedule.quiet) == 1


async def test_hours_are_removed_by_what_they_say(whole, hours):
    hours.schedule = Schedule(
        windows=(Window(since=time(1), until=time(2)), Window(since=time(3), until=time(4)))
    )
    form = {"kind": "windows", "what": "every day, 03:00 to 04:00"}
    assert (await whole.post("/schedule/remove", form))[0] == 303
    assert hours.schedule.windows == (Window(since=time(1), until=time(2)),)
    status, text, _ = await whole.post("/schedule/remove", form)
    assert (status, "have changed in the meantime" in text) == (400, True)


async def test_what_cannot_be_is_told_and_what_was_typed_stays(whole, hours):
    status, text, _ = await whole.post("/schedule/add", {**NIGHTS, "days": []})
    assert (status, "at least one day" in text) == (400, True)
    assert 'value="06:30"' in text
    status, text, _ = await whole.post("/schedule/add", {**NIGHTS, "since": "noon"})
    assert (status, "no time of day" in text) == (400, True)
    hours.failure = ConfigError("the file is another's")
    status, text, _ = await whole.post("/schedule/add", NIGHTS)
    assert (status, "the file is another" in text) == (400, True)
    assert hours.schedule == Schedule()


async def test_a_script_gets_the_week_alone(whole):
    status, text, _ = await whole.post("/schedule/add", NIGHTS, **BY_SCRIPT)
    assert (status, "<html" in text) == (200, False)
    assert text.startswith('<section class="card" id="schedule"')
