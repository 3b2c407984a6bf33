from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.availability.forecast import LATEST, Slot
from byoi_agent.availability.forecast_forms import SLOTS_MOST, UnfitForecast, read

HOUR = 3600.0


def at(text):
    return datetime.fromisoformat(text).timestamp()


def slots(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return list(read(text).slots)


NOON = at("2026-11-21T12:00+00:00")


def test_our_own_form_tells_time_and_number():
    told = [
        {"at": "2026-11-21T12:00Z", "value": 180},
        {"at": "2026-11-21T13:00Z", "value": 90.5},
    ]
    expected = [Slot(NOON, NOON + HOUR, 180), Slot(NOON + HOUR, NOON + 2 * HOUR, 90.5)]
    assert slots(told) == expected
    assert slots({"forecast": told}) == expected
    assert slots("\ufeff" + json.dumps(told)) == expected


def test_a_number_holds_until_the_next_and_the_last_as_long_as_the_one_before():
    told = [{"from": "2026-11-21T12:00Z", "value": 1}, {"from": "2026-11-21T18:00Z", "value": 2}]
    assert slots(told)[1] == Slot(NOON + 6 * HOUR, NOON + 12 * HOUR, 2)
    assert slots(told[:1]) == [Slot(NOON, NOON + HOUR, 1)]


def test_an_end_of_its_own_leaves_a_gap():
    told = [
        {"from": "2026-11-21T12:00Z", "to": "2026-11-21T12:30Z", "value": 1},
        {"from": "2026-11-21T14:00Z", "to": "2026-11-21T14:15Z", "value": "2.5"},
    ]
    assert slots(told) == [
        Slot(NOON, NOON + 1800, 1),
        Slot(NOON + 2 * HOUR, NOON + 2 * HOUR + 900, 2.5),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "at,value\n2026-11-21T12:00Z,180\n2026-11-21T13:00Z,90\n",
        "# the grid\n\nFrom;To;Value\n2026-11-21T13:00+01:00;2026-11-21T14:00+01:00;180\n"
        "2026-11-21T14:00+01:00;;90\n",
    ],
)
def test_our_own_form_as_csv(text):
    assert slots(text) == [Slot(NOON, NOON + HOUR, 180), Slot(NOON + HOUR, NOON + 2 * HOUR, 90)]


def test_britains_carbon_intensity_by_its_forecast():
    told = {
        "data": [
            {
                "from": "2026-11-21T12:00Z",
                "to": "2026-11-21T12:30Z",
                "intensity": {"forecast": 266, "actual": 263, "index": "moderate"},
            },
            {
                "from": "2026-11-21T12:30Z",
                "to": "2026-11-21T13:00Z",
                "intensity": {"forecast": 240, "actual": None, "index": "moderate"},
            },
        ]
    }
    expected = [Slot(NOON, NOON + 1800, 266), Slot(NOON + 1800, NOON + 3600, 240)]
    assert slots(told) == expected
    region = {"regionid": 13, "postcode": "SW1", "data": told["data"]}
    assert slots({"data": region}) == expected


def test_electricity_maps_forecast():
    told = {
        "zone": "DE",
        "forecast": [
            {"carbonIntensity": 326, "datetime": "2026-11-21T12:00:00.000Z"},
            {"carbonIntensity": 297, "datetime": "2026-11-21T13:00:00.000Z"},
        ],
        "updatedAt": "2026-11-21T11:00:00.000Z",
    }
    assert [one.value for one in slots(told)] == [326, 297]


def test_awattar_quotes_a_mwh_and_counts_in_milliseconds():
    told = {
        "object": "list",
        "data": [
            {
                "start_timestamp": NOON * 1000,
                "end_timestamp": (NOON + HOUR) * 1000,
                "marketprice": -5.12,
                "unit": "Eur/MWh",
            }
        ],
    }
    assert slots(told) == [Slot(NOON, NOON + HOUR, -0.00512)]
    told["data"][0]["start_timestamp"] = None
    with pytest.raises(UnfitForecast, match="a number without a time"):
        slots(told)


def nord_pool(**areas):
    entry = {
        "deliveryStart": "2026-11-21T12:00:00Z",
        "deliveryEnd": "2026-11-21T12:15:00Z",
        "entryPerArea": areas,
    }
    return {"deliveryDateCET": "2026-11-21", "currency": "EUR", "multiAreaEntries": [entry]}


def test_nord_pool_quotes_a_mwh_of_one_area():
    assert slots(nord_pool(SE3=103.5)) == [Slot(NOON, NOON + 900, 0.1035)]
    with pytest.raises(UnfitForecast, match="one area only"):
        slots(nord_pool(SE3=103.5, SE4=110.0))


def test_tibbers_answer_whole_or_its_list_alone():
    today = [{"total": 0.3664, "energy": 0.1324, "startsAt": "2026-11-21T13:00:00.000+01:00"}]
    tomorrow = [{"total": 0.2, "energy": 0.1, "startsAt": "2026-11-21T14:00:00.000+01:00"}]
    price = {"current": today[0], "today": today, "tomorrow": tomorrow}
    whole = {"data": {"viewer": {"homes": [{"currentSubscription": {"priceInfo": price}}]}}}
    assert slots(whole) == slots(today + tomorrow)
    assert [one.value for one in slots(whole)] == [0.3664, 0.2]


def test_a_number_that_is_told_to_be_unknown_is_left_out():
    told = [{"at": "2026-11-21T12:00Z", "value": None}, {"at": "2026-11-21T13:00Z", "value": 2}]
    assert slots(told) == [Slot(NOON + HOUR, NOON + 2 * HOUR, 2)]
    assert slots("at,value\n2026-11-21T12:00Z,\n2026-11-21T13:00Z,2\n") == slots(told)


HALF = {"from": "2026-11-21T12:00Z", "to": "2026-11-21T13:00Z", "value": 1}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no times and numbers"),
        ("[]", "no times and numbers"),
        ("<html>sign in</html>", "no times and numbers"),
        ("name,number\nx,1", "no times and numbers"),
        ("[1, 2", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[" * 50 + "]" * 50, "no times and numbers"),
        ('at,value\n"2026', "no valid CSV"),
        ("at,value\nsoon,1", "'soon' where a time belongs"),
        ("at,value\n2026-11-21T12:00,1", "does not tell its zone"),
        ("at,value\n2026-11-21T12:00Z,cheap", "'cheap' where a number belongs"),
        ('[{"at": "2026-11-21T12:00Z", "value": true}]', "a number that is none"),
        ('[{"at": "2026-11-21T12:00Z", "value": NaN}]', "nan where a number belongs"),
        ('[{"at": "2026-11-21T12:00Z", "value": 1e999}]', "inf where a number belongs"),
        (json.dumps([HALF, HALF | {"value": 2}]), "two numbers for one time"),
        (json.dumps([HALF, HALF | {"from": "2026-11-21T12:30Z"}]), "two numbers for one time"),
        (json.dumps([HALF | {"to": "2026-11-21T11:00Z"}]), "an end before its beginning"),
        (json.dumps([HALF | {"from": "9999-01-01T00:00Z"}]), "an end before its beginning"),
        (
            json.dumps([HALF | {"from": "9999-01-01T00:00Z", "to": "9999-01-02T00:00Z"}]),
            "no number for any time in the years 1970 to 2999",
        ),
        ("at,value\n1969-01-01T00:00Z,1", "no number for any time in the years 1970 to 2999"),
        ("at,value\n2026-11-21\x1b12:00,1", r"'2026-11-21\\x1b12:00' does not tell its zone"),
    ],
)
def test_what_is_in_no_form_is_told_for_people(text, why):
    with pytest.raises(UnfitForecast, match=why):
        read(text)


def test_an_end_that_means_for_ever_is_one_that_every_clock_can_show():
    last = at("3000-01-01T00:00+00:00")
    assert slots([HALF | {"to": "9999-12-31T23:59:59Z"}]) == [Slot(NOON, last, 1)]
    counted = {"start_timestamp": NOON * 1000, "end_timestamp": 1e17, "marketprice": 1000}
    assert slots([counted]) == [Slot(NOON, last, 1)]
    as_long = [HALF, HALF | {"from": "2999-12-31T23:30Z", "to": None}]
    assert slots(as_long)[1] == Slot(last - 1800, last, 1)


@pytest.mark.parametrize("ever", ["1900-01-01T00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_beginning_that_means_since_ever_is_one_that_every_clock_can_show(ever):
    since_ever = {"from": ever, "to": "2026-11-21T12:00Z", "value": 2}
    assert slots([since_ever, HALF]) == [Slot(0, NOON, 2), Slot(NOON, NOON + HOUR, 1)]
    long_gone = {"from": ever, "to": "1901-01-01T00:00Z", "value": 2}
    never = {"from": "9998-01-01T00:00Z", "to": "9999-01-01T00:00Z", "value": 2}
    assert slots([long_gone, HALF, never]) == slots([HALF])


def test_more_numbers_than_anybody_needs_are_refused():
    rows = "\n".join(
        f"{datetime.fromtimestamp(n * 60, UTC).isoformat()},1" for n in range(SLOTS_MOST + 1)
    )
    with pytest.raises(UnfitForecast, match="more than 20000"):
        read("at,value\n" + rows)


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(("at", "value", "from", "to", "intensity", "startsAt", "total", "data")),
        inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_whatever_a_server_answers_is_a_forecast_or_a_sentence(value):
    try:
        found = read(json.dumps(value)).slots
    except UnfitForecast:
        return
    assert all(0 <= one.since < one.until <= LATEST for one in found)
