from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.config.availability import Feed, Schedule, Window
from byoi_agent.config.edit import set_schedule
from byoi_agent.config.windows import WEEKDAYS
from byoi_agent.errors import ConfigError

NIGHT = Window(since="22:00", until="06:00", days=("mon", "tue"))
LUNCH = Window(since="12:00", until="13:00")
HUSH = Window(since="23:00", until="07:00")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


def said(file):
    return Schedule.model_validate(tomllib.loads(file.read_text()).get("schedule", {}))


def test_hours_that_stay_keep_their_place_and_their_comments(file):
    file.write_text(
        'model = "x"  # the one\n\n[schedule]\nwindows = [\n'
        "  # nights are cheap\n"
        '  {days = ["mon", "tue"], since = "22:00", until = "06:00"},\n'
        '  {since = "12:00", until = "13:00"},  # lunch\n]\n\n[tariff]\n'
        'currency = "EUR"  # here\nprice_per_kwh = 0.3\n'
    )
    wanted = Schedule(windows=(NIGHT, HUSH), quiet=(HUSH,))
    set_schedule(file, wanted)
    assert said(file) == wanted
    text = file.read_text()
    assert "# nights are cheap" in text
    assert 'model = "x"  # the one' in text
    assert 'currency = "EUR"  # here' in text
    assert "12:00" not in text


def test_a_file_that_is_not_there_is_made(file):
    set_schedule(file, Schedule(windows=(NIGHT,)))
    assert file.read_text() == (
        "[schedule]\nwindows = [\n"
        '    {days = ["mon", "tue"], since = "22:00", until = "06:00"},\n]\n'
    )


def test_what_is_empty_leaves_nothing_behind(file):
    file.write_text('model = "x"\n\n[[schedule.windows]]\nsince = "22:00"\nuntil = "06:00"\n')
    set_schedule(file, Schedule())
    assert file.read_text().strip() == 'model = "x"'


def test_hours_in_tables_of_their_own_get_another_beside_them(file):
    file.write_text('[[schedule.windows]]\nsince = "12:00"\nuntil = "13:00"  # lunch\n')
    set_schedule(file, Schedule(windows=(LUNCH, NIGHT)))
    assert said(file).windows == (LUNCH, NIGHT)
    assert file.read_text().count("[[schedule.windows]]") == 2
    assert "# lunch" in file.read_text()


def test_a_forecast_is_put_changed_and_taken_out(file):
    first = Feed(source="https://grid.example/v1", at_most=250, unknown="wait")
    set_schedule(file, Schedule(carbon=first))
    assert said(file).carbon == first
    file.write_text(file.read_text() + "# mine\n")
    second = Feed(source="https://grid.example/v1", at_most=200)
    set_schedule(file, Schedule(carbon=second))
    assert said(file).carbon == second
    assert "unknown" not in file.read_text()
    assert "# mine" in file.read_text()
    set_schedule(file, Schedule())
    assert said(file) == Schedule()


def test_a_file_that_is_wrong_stays_as_it_is(file):
    file.write_text("schedule = 3\n")
    with pytest.raises(ConfigError, match="schedule"):
        set_schedule(file, Schedule(windows=(NIGHT,)))
    assert file.read_text() == "schedule = 3\n"


clock = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
window = st.builds(
    lambda since, until, days: Window(since=since, until=until, days=tuple(sorted(days))),
    clock,
    clock,
    st.sets(st.sampled_from(WEEKDAYS), min_size=1),
)
schedule = st.builds(
    lambda windows, quiet: Schedule(windows=tuple(windows), quiet=tuple(quiet)),
    st.lists(window, max_size=4),
    st.lists(window, max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(before=schedule, after=schedule)
def test_whatever_was_there_the_file_says_the_new_one(tmp_path_factory, before, after):
    file = tmp_path_factory.mktemp("config") / "config.toml"
    file.touch()
    set_schedule(file, before)
    set_schedule(file, after)
    found = said(file)
    assert sorted(map(str, found.windows)) == sorted(map(str, after.windows))
    assert sorted(map(str, found.quiet)) == sorted(map(str, after.quiet))
