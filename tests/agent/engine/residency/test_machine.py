from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine.residency import machine as m
from byoi_agent.engine.residency import resident as r

LIMITS = m.Limits()


def model(key, size=10, **facts):
    return r.Model(key, {"memory": size}, **facts)


def sleeper(key, size=10, host=10, **facts):
    return model(key, size, asleep={"host": host}, **facts)


# Loading


def test_what_is_asked_for_is_loaded(make):
    node = make(model("a"))
    assert node.orders == []
    assert node.demand("a", waiting=1) == [m.Load("a")]
    assert node.demand("a", waiting=2) == []
    node.tell(m.Served("a"))
    assert node.place("a") == r.Loaded(1000.0)


def test_with_the_node_the_most_important_are_loaded_as_far_as_they_fit(make):
    node = make(
        model("low", loads_at_start=True, priority=1),
        model("high", loads_at_start=True, priority=9),
        model("other"),
    )
    assert node.orders == [m.Load("high")]
    assert node.place("low") == r.Out()


def test_what_loads_with_the_node_comes_back_once_there_is_room(make):
    node = make(model("a", loads_at_start=True), model("b"))
    node.tell(m.Served("a"))
    node.demand("b", waiting=1)
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]
    node.tell(m.Served("b"))
    node.demand("b")
    node.tell(m.Held("b", 0.0))
    assert node.tell(m.Gone("b")) == [m.Load("a")]


def test_what_does_not_fit_even_alone_is_refused_at_once(make):
    node = make(model("a", 2 * 1024**3), memory=1024**3)
    assert node.demand("a", waiting=1) == []
    assert node.place("a") == r.Unfit("it needs 2.0 GiB of memory, of which there is 1.0 GiB")
    assert node.configure(model("a", 1024**3)) == [m.Load("a")]


def test_of_two_that_wait_the_more_important_comes_first_then_the_longer_waiting(make):
    node = make(model("x"), model("a"), model("b"), model("c", priority=60))
    node.load("x")
    node.demand("b", waiting=1)
    node.tell(m.Demanded("a", 0, 1), at=1000.1)
    node.tell(m.Demanded("c", 0, 1), at=1000.2)
    node.after(LIMITS.rest_seconds)
    assert node.tell(m.Gone("x")) == [m.Load("c")]
    node.tell(m.Served("c"))
    node.demand("c")
    node.after(LIMITS.rest_seconds)
    assert node.tell(m.Gone("c")) == [m.Load("b")]


def test_news_of_what_nobody_knows_or_expects_is_no_news(make):
    node = make(model("a"))
    before = node.state
    for event in (m.Served("a"), m.Gone("a"), m.Broke("a", "x"), m.Served("none"), m.Woke()):
        assert (node.tell(event), node.state) == ([], before)


# Giving way


def test_the_longest_unused_of_the_least_important_gives_way(make):
    node = make(model("a"), model("b"), model("c", priority=60), model("d"), memory=30)
    for key in ("c", "b", "a"):
        node.load(key)
        node.now += 10
    assert node.demand("d", waiting=1) == [m.Unload("b")]
    assert node.tell(m.Gone("b")) == [m.Load("d")]


def test_as_few_give_way_as_are_needed(make):
    node = make(model("small", 2), model("large", 8), model("x", 8))
    node.load("small")
    node.now += 1
    node.load("large")
    node.now += 10
    assert node.demand("x", waiting=1) == [m.Unload("large")]
    assert node.place("small") == r.Loaded(1000.0)


def test_what_was_just_used_rests_before_it_gives_way(make):
    node = make(model("a"), model("b"))
    node.load("a")
    assert node.demand("b", waiting=1) == []
    assert node.wake_at == node.now + LIMITS.rest_seconds
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a")]


def test_what_is_in_use_never_gives_way_to_what_is_less_important(make):
    node = make(model("a", priority=60), model("b"))
    node.load("a")
    node.demand("a", running=1)
    node.demand("b", waiting=1)
    assert node.wake_at is None
    assert node.after(1e6) == []


def test_what_is_in_use_ends_its_requests_for_what_is_more_important(make):
    node = make(model("a"), model("b", priority=60))
    node.load("a")
    node.demand("a", running=2, waiting=1)
    node.demand("b", waiting=1)
    assert node.wake_at == node.now + LIMITS.patience_seconds
    assert node.after(LIMITS.patience_seconds) == []
    assert node.place("a") == r.Loaded(1000.0, closes=True)
    assert node.demand("a", running=1, waiting=2) == []
    assert node.demand("a", running=0, waiting=2) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]
    node.tell(m.Served("b"))
    node.demand("b")
    assert node.after(LIMITS.rest_seconds) == [m.Unload("b")]
    assert node.tell(m.Gone("b")) == [m.Load("a")]


def test_two_in_use_that_do_not_fit_take_turns(make):
    node = make(model("a"), model("b"))
    node.load("a")
    node.demand("a", running=1)
    node.demand("b", waiting=1)
    assert node.wake_at == 1000.0 + LIMITS.turn_seconds
    node.after(LIMITS.turn_seconds)
    assert node.place("a") == r.Loaded(1000.0, closes=True)
    assert node.demand("a", waiting=1) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]
    node.tell(m.Served("b"))
    node.demand("b", running=1, waiting=5)
    assert node.after(LIMITS.turn_seconds - 0.1) == []
    assert node.place("b") == r.Loaded(1020.0)
    node.after(0.1)
    assert node.place("b") == r.Loaded(1020.0, closes=True)


def test_a_request_that_just_began_is_heard_of_before_it_closes_for_good(make):
    node = make(model("a"), model("b", priority=60))
    node.load("a")
    node.demand("a", waiting=1)
    node.demand("b", waiting=1)
    assert node.after(LIMITS.patience_seconds) == []
    assert node.wake_at == node.now + LIMITS.closing_seconds
    assert node.after(LIMITS.closing_seconds) == [m.Unload("a")]


def test_it_opens_again_when_nobody_waits_for_its_memory_any_more(make):
    node = make(model("a"), model("b", priority=60))
    node.load("a")
    node.demand("a", running=1)
    node.demand("b", waiting=1)
    node.after(LIMITS.patience_seconds)
    node.demand("b")
    assert node.place("a") == r.Loaded(1000.0)


def test_memory_on_its_way_to_one_is_not_given_to_another(make):
    node = make(model("a"), model("b", priority=60), model("c", 5), memory=12)
    node.load("a")
    node.demand("b", waiting=1)
    node.after(LIMITS.rest_seconds)
    assert node.place("a") == r.Leaving()
    assert node.demand("c", waiting=1) == []
    assert node.tell(m.Gone("a")) == [m.Load("b")]


def test_what_is_loading_is_let_load(make):
    node = make(model("a"), model("b", priority=60))
    node.demand("a", waiting=1)
    node.demand("b", waiting=1)
    assert (node.after(1e6), node.place("a")) == ([], r.Loading(1000.0))


# Idle


def test_what_nobody_asked_for_so_long_is_unloaded_and_stays_so(make):
    node = make(model("a", loads_at_start=True, idle_unload_seconds=60.0))
    node.tell(m.Served("a"))
    assert node.wake_at == 1060.0
    assert node.after(60) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == []
    assert node.demand("a", waiting=1) == [m.Load("a")]


# Failing


def test_a_load_that_fails_backs_off_and_others_have_the_memory(make):
    node = make(model("a"), model("b"))
    node.demand("a", waiting=1)
    assert node.tell(m.Broke("a", "no memory")) == [m.Unload("a", "stop", 0.0)]
    node.tell(m.Gone("a"))
    assert node.place("a") == r.Failed("no memory", 1001.0)
    assert node.wake_at == 1001.0
    assert node.demand("b", waiting=1) == [m.Load("b")]


@pytest.mark.parametrize(("served", "until"), [(1.0, 2.0), (LIMITS.stable_seconds, 1.0)])
def test_failures_add_up_until_it_has_served_for_long(make, served, until):
    node = make(model("a"))
    for _ in range(2):
        node.demand("a", waiting=1)
        node.tell(m.Served("a"))
        node.now += served
        node.tell(m.Broke("a", "x"))
        node.tell(m.Gone("a"))
        failed = node.place("a")
        node.tell(m.Woke(), at=failed.until)
    assert failed.until - node.now == 0
    assert node.one("a").attempts == (2 if until == 2.0 else 1)


def test_it_is_tried_again_after_its_time_but_never_waits_beyond_the_limit(make):
    node = make(model("a"))
    for expected in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        node.demand("a", waiting=1)
        node.tell(m.Broke("a", "x"))
        node.tell(m.Gone("a"))
        assert node.place("a").until - node.now == expected
        assert node.after(expected) == [m.Load("a")]
        node.demand("a")


def test_what_only_the_owner_can_mend_is_not_tried_again_until_he_says_so(make):
    node = make(model("a"))
    node.demand("a", waiting=1)
    node.tell(m.Broke("a", "wrong hash", is_final=True))
    node.tell(m.Gone("a"))
    assert node.place("a") == r.Failed("wrong hash", None)
    assert node.after(1e6) == []
    assert node.tell(m.Released("a")) == [m.Load("a")]


# The owner


def test_its_owner_takes_its_memory_and_gives_it_back(make):
    node = make(model("a"))
    node.load("a")
    assert node.tell(m.Held("a", 5.0)) == [m.Unload("a", "stop", 5.0)]
    node.tell(m.Gone("a"))
    assert node.demand("a", waiting=1) == []
    assert node.tell(m.Released("a")) == [m.Load("a")]
    assert node.tell(m.Held("a", 0.0)) == [m.Unload("a", "stop", 0.0)]


def test_what_holds_no_memory_can_be_held_as_well(make):
    node = make(model("a"))
    assert node.tell(m.Held("a", 5.0)) == []
    assert node.one("a").is_held
    node.tell(m.Released("a"))
    node.tell(m.Served("a"))
    node.demand("a", waiting=1)
    assert not node.one("a").wants_in  # its owner woke it once, it is not loaded with the node


def test_less_memory_sends_away_what_is_least_important_even_in_use(make):
    node = make(model("a"), model("b", priority=60), model("c"), memory=30)
    for key in ("a", "b", "c"):
        node.load(key)
    node.demand("a", running=1)
    node.demand("b", running=1)
    assert node.configure(model("a"), model("b", priority=60), model("c"), memory=10) == [
        m.Unload("c")
    ]
    assert node.place("a") == r.Loaded(1000.0, closes=True)
    assert node.place("b") == r.Loaded(1000.0)
    assert node.demand("a") == [m.Unload("a")]


def test_what_other_programs_hold_keeps_out_what_is_not_loaded_and_takes_nothing_away(make):
    node = make(model("a", 6), model("b", 4), memory=10)
    node.load("a")
    assert node.others_hold(memory=7) == []
    assert isinstance(node.place("a"), r.Loaded)
    assert node.place("b") == r.Unfit("it needs 4 B of memory, of which other programs leave 3 B")
    assert node.demand("b", waiting=1) == []  # told at once: another node may have room
    assert node.others_hold() == [m.Load("b")]


def test_beside_what_other_programs_hold_others_give_way_to_who_waits(make):
    node = make(model("a", 6), model("b", 4), memory=10)
    node.load("a")
    node.others_hold(memory=3)
    assert node.demand("b", waiting=1) == []
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]
    node.tell(m.Served("b"))
    assert node.demand("a", waiting=1) == []
    assert node.place("a") == r.Out()


def test_what_other_programs_hold_of_one_memory_keeps_nothing_out_of_another(make):
    node = make(r.Model("b", {"second": 8}), r.Model("cpu", {"host": 5}), second=10, host=10)
    node.others_hold(memory=11)
    assert node.demand("b", waiting=1) == [m.Load("b")]
    assert node.demand("cpu", waiting=1) == [m.Load("cpu")]


def test_what_other_programs_hold_of_one_memory_sends_nothing_away_for_another(make):
    node = make(model("a", 9), r.Model("b", {"second": 8}), memory=10, second=10)
    node.load("a")
    node.others_hold(memory=8)
    assert node.demand("b", waiting=1) == [m.Load("b")]
    assert node.after(1e6) == []
    assert isinstance(node.place("a"), r.Loaded)


def test_of_what_spans_two_memories_each_must_have_room_beside_other_programs(make):
    both = r.Model("b", {"memory": 5, "second": 5})
    node = make(r.Model("a", {"second": 4}), both, memory=10, second=10)
    node.load("a")
    node.others_hold(memory=5, second=2)
    assert node.demand("b", waiting=1) == []
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]


def test_what_sleeps_is_woken_whoever_holds_memory(make):
    """It keeps a part of its own there, so only waking shows whether there is room."""
    node = make(sleeper("a"), host=10)
    node.put_to_sleep("a")
    node.others_hold(memory=5)
    assert node.tell(m.Released("a", is_called=True)) == [m.Load("a")]


def test_one_that_turns_out_larger_is_counted_so(make):
    node = make(model("a", 5), model("b", 5))
    node.load("a")
    node.now += 1
    node.load("b")
    assert node.configure(model("a", 7), model("b", 5)) == [m.Unload("a")]


def test_another_engine_takes_its_place_once_its_requests_have_ended(make):
    node = make(model("a"), model("b"), memory=20)
    node.load("a")
    node.load("b")
    node.demand("a", running=1)
    changed = model("a", edition=1, loads_at_start=True)
    assert node.configure(changed, model("b")) == []
    assert node.place("a") == r.Loaded(1000.0, closes=True)
    assert node.place("b") == r.Loaded(1000.0)
    assert node.demand("a", waiting=1) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("a")]
    assert node.one("a").model == changed
    assert not node.one("a").is_retired


def test_what_the_settings_have_no_more_goes_once_its_requests_have_ended(make):
    node = make(model("a"), model("b"), model("c"), memory=20)
    node.load("a")
    node.demand("a", running=1)
    node.demand("b", waiting=1)
    assert node.configure() == [m.Unload("b")]
    assert set(node.state.residents) == {"a", "b"}
    assert node.demand("a") == [m.Unload("a")]
    node.tell(m.Gone("a"))
    node.tell(m.Gone("b"))
    assert node.state.residents == {}


def test_what_comes_back_into_the_settings_in_time_stays(make):
    node = make(model("a"))
    node.load("a")
    node.demand("a", running=1)
    node.configure()
    node.configure(model("a", priority=7))
    assert (node.place("a"), node.one("a").model.priority) == (r.Loaded(1000.0), 7)


def test_what_its_owner_calls_for_makes_others_give_way_as_a_request_does(make):
    node = make(model("a"), model("b"))
    node.load("a")
    assert node.tell(m.Released("b")) == []
    assert node.after(60.0) == [], "among all of them only who fits comes back"
    assert node.tell(m.Released("b", is_called=True)) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]
    node.tell(m.Served("b"))
    assert (node.one("b").is_called, node.one("b").waited_from) == (False, None)
    assert node.tell(m.Released("b", is_called=True)) == []
    assert not node.one("b").is_called


# Asleep


def test_a_sleeper_that_keeps_what_the_other_needs_is_ended_after_all(make):
    keeps_some = model("a", asleep={"host": 4, "memory": 2})
    node = make(keeps_some, model("b"), memory=11, host=10)
    node.load("a")
    node.demand("b", waiting=1)
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a", "sleep")]
    assert node.tell(m.Gone("a", is_asleep=True)) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]


def test_what_can_sleep_sleeps_and_wakes(make):
    node = make(sleeper("a"), model("b"), host=10)
    node.load("a")
    node.demand("b", waiting=1)
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a", "sleep")]
    assert node.tell(m.Gone("a", is_asleep=True)) == [m.Load("b")]
    node.tell(m.Served("b"))
    node.demand("b")
    assert node.place("a") == r.Asleep()
    node.demand("a", waiting=1)
    node.after(LIMITS.rest_seconds)
    assert node.tell(m.Gone("b")) == [m.Load("a")]


def test_where_the_host_has_no_room_for_sleepers_they_are_stopped(make):
    node = make(sleeper("a"), model("b"), host=9)
    node.load("a")
    node.demand("b", waiting=1)
    assert node.after(LIMITS.rest_seconds) == [m.Unload("a", "stop")]


def test_a_sleeper_that_dies_is_out(make):
    node = make(sleeper("a"), host=10)
    node.put_to_sleep("a")
    node.tell(m.Gone("a"))
    assert node.place("a") == r.Out()


def test_less_memory_of_the_host_stops_sleepers(make):
    node = make(sleeper("a"), sleeper("b"), memory=20, host=20)
    node.put_to_sleep("a")
    node.now += 1
    node.put_to_sleep("b")
    assert node.configure(sleeper("a"), sleeper("b"), host=10) == [m.Unload("a")]


def test_a_sleeper_that_has_no_place_to_wake_to_is_stopped(make):
    node = make(sleeper("a"), host=10)
    node.put_to_sleep("a")
    assert node.configure(sleeper("a"), memory=9) == [m.Unload("a")]
    node.tell(m.Gone("a"))
    assert isinstance(node.place("a"), r.Unfit)


def test_a_sleeper_that_the_settings_have_no_more_is_stopped(make):
    node = make(sleeper("a"), host=10)
    node.put_to_sleep("a")
    assert node.configure() == [m.Unload("a")]


def test_sleepers_give_way_to_what_needs_the_hosts_memory(make):
    node = make(sleeper("a"), r.Model("cpu", {"host": 5}), host=10)
    node.put_to_sleep("a")
    assert node.demand("cpu", waiting=1) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("cpu")]


def test_a_model_that_is_always_asked_for_does_not_starve_its_equal(make):
    node = make(r.Model("a", {"memory": 6}), r.Model("b", {"memory": 6}))
    assert node.demand("a", waiting=3) == [m.Load("a")]
    node.tell(m.Served("a"))
    node.demand("a", running=1, waiting=2)
    node.now += 1
    node.demand("b", waiting=1)
    assert node.after(30) == []  # its turn is over: it begins nothing new
    assert node.demand("a", waiting=3) == [m.Unload("a")]
    assert node.tell(m.Gone("a")) == [m.Load("b")]


# Whatever happens; `conftest.py` has the engines and clients that obey the machine.


@given(data=st.data())
def test_never_more_than_there_is_nobody_cut_and_nobody_forgotten(world, data):
    assert world(data, longest=60)


@given(data=st.data())
def test_whoever_waits_is_served_in_the_end(world, data):
    it = world(data, longest=30)
    for _ in range(200):
        it.serve_all()
    for one in it.state.residents.values():
        if one.waiting:
            is_final = isinstance(one.place, r.Failed) and one.place.until is None
            assert one.is_held or isinstance(one.place, r.Unfit) or is_final, one
