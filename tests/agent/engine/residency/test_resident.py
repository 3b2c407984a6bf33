from __future__ import annotations

import pytest

from byoi_agent.engine.residency import resident as r

MODEL = r.Model("a", {"memory": 4}, asleep={"host memory": 3}, idle_unload_seconds=60.0)


@pytest.mark.parametrize(
    ("place", "takes", "keeps"),
    [
        (r.Out(), {}, {}),
        (r.Unfit("x"), {}, {}),
        (r.Failed("x", 1.0), {}, {}),
        (r.Loading(0.0), {"memory": 4}, {"memory": 4}),
        (r.Loaded(0.0), {"memory": 4}, {"memory": 4}),
        (r.Loaded(0.0, closes=True), {"memory": 4}, {}),
        (r.Leaving("stop"), {"memory": 4}, {}),
        (r.Leaving("sleep"), {"memory": 4, "host memory": 3}, {"host memory": 3}),
        (r.Asleep(), {"host memory": 3}, {"host memory": 3}),
    ],
)
def test_what_it_takes_and_what_it_will_have_kept(place, takes, keeps):
    one = r.Resident(MODEL, place)
    assert (one.takes, one.keeps) == (takes, keeps)


def test_what_it_keeps_of_the_same_memory_is_not_counted_twice_while_it_falls_asleep():
    model = r.Model("a", {"GPU 0": 9}, asleep={"GPU 0": 2, "host memory": 3})
    assert r.Resident(model, r.Leaving("sleep")).takes == {"GPU 0": 9, "host memory": 3}


def test_one_that_cannot_sleep_takes_nothing_then():
    model = r.Model("a", {"memory": 4})
    assert r.Resident(model, r.Asleep()).takes == {}
    assert r.Resident(model, r.Leaving("sleep")).keeps == {}


def test_others_give_way_where_somebody_waits_or_its_owner_calls():
    assert not r.Resident(MODEL, wants_in=True).presses
    assert r.Resident(MODEL, waiting=1).presses
    assert r.Resident(MODEL, is_called=True).presses


def test_it_is_wanted_while_somebody_waits_or_its_owner_wants_it():
    assert not r.Resident(MODEL).is_wanted
    assert r.Resident(MODEL, waiting=1).is_wanted
    assert r.Resident(MODEL, r.Asleep(), wants_in=True).is_wanted
    assert not r.Resident(MODEL, r.Loaded(0.0), waiting=1).is_wanted
    assert not r.Resident(MODEL, waiting=1, is_held=True).is_wanted
    assert not r.Resident(MODEL, waiting=1, is_retired=True).is_wanted


def test_only_what_is_loaded_and_idle_becomes_idle_for_too_long():
    loaded = r.Resident(MODEL, r.Loaded(0.0), used_at=10.0)
    assert loaded.idle_unload_at == 70.0
    assert r.Resident(MODEL, r.Loaded(0.0), running=1).idle_unload_at is None
    assert r.Resident(MODEL).idle_unload_at is None
    assert r.Resident(r.Model("a", {}), r.Loaded(0.0)).idle_unload_at is None
